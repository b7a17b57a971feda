"""Finding an image by what people call it: a name, an id, or the beginning of an id."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from cellcrate_runtime.images.errors import (
    AmbiguousImageError,
    ImageNotFoundError,
    InvalidReferenceError,
)
from cellcrate_runtime.images.references import Reference, parse

__all__ = ["find_id", "not_found"]

ID_DIGITS = frozenset("0123456789abcdef")
ID_LENGTH = 64
SHORT_ID = 12


def find_id(wanted: str, named: Iterable[tuple[str | None, str]]) -> str:
    """Return the id of the wanted image.

    Args:
        wanted: What somebody typed. A name counts more than an id, as in Docker.
        named: All canonical names, or None for an image without one, with the ids that they mean.

    Raises:
        ImageNotFoundError: There is none; AmbiguousImageError: there are several.
        InvalidReferenceError: The text can be neither a name nor an id.
    """
    known = list(named)
    try:
        reference = parse(wanted).with_default_tag()
    except InvalidReferenceError:
        if not _may_be_id(wanted):
            raise
    else:
        for name, image_id in known:
            if name is not None and _means(reference, name):
                return image_id
    return _by_beginning(wanted, {image_id for _, image_id in known})


def not_found(wanted: str) -> ImageNotFoundError:
    """What to raise for an image that is not there, in Docker's words."""
    with contextlib.suppress(InvalidReferenceError):
        wanted = parse(wanted).with_default_tag().familiar
    return ImageNotFoundError(f"No such image: {wanted}")


def _means(wanted: Reference, name: str) -> bool:
    """Whether a name is the wanted one; a digest counts more than a tag beside it."""
    if wanted.digest is None:
        return wanted.canonical == name
    return name == f"{wanted.name}@{wanted.digest}"


def _may_be_id(text: str) -> bool:
    digits = text.removeprefix("sha256:")
    return 0 < len(digits) <= ID_LENGTH and ID_DIGITS.issuperset(digits)


def _by_beginning(beginning: str, ids: set[str]) -> str:
    if not _may_be_id(beginning):
        raise not_found(beginning)
    digits = beginning.removeprefix("sha256:")
    found = sorted(i for i in ids if i.removeprefix("sha256:").startswith(digits))
    if not found:
        raise not_found(beginning)
    if len(found) > 1:
        shown = ", ".join(i.removeprefix("sha256:")[:SHORT_ID] for i in found)
        raise AmbiguousImageError(
            f'"{beginning}" is the beginning of several image ids ({shown}). Give more digits.'
        )
    return found[0]
