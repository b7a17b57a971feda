"""``--chown``: names of an image's own passwd and group files, looked up without mounting it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cellcrate_runtime.images.errors import ImageError
from cellcrate_runtime.images.merged import MergedTree

__all__ = ["Owner", "find_owner"]

_LARGEST = 4 << 20  # bytes of a passwd file
_HIGHEST_ID = (1 << 31) - 1  # as Docker has it


class Owner(NamedTuple):
    """A user's and a group's number."""

    uid: int
    gid: int


def find_owner(image: MergedTree, text: str) -> Owner:
    """Translate ``user``, ``user:group`` and numbers to numbers.

    A number alone is the group as well; a name alone has the group that passwd(5) has for it.

    Raises:
        ImageError: The image has no such user or group.
    """
    user, colon, group = text.partition(":")
    uid = _number(user, text)
    gid = uid
    if uid is None:
        for name, _, number, own_group, *_ in _lines(image, "etc/passwd", 4):
            if name == user and number.isdecimal():
                uid, gid = int(number), int(own_group) if own_group.isdecimal() else 0
                break
        else:
            raise ImageError(
                f"unable to convert uid/gid chown string to host mapping: "
                f"can't find uid for user {user}: no such user: {user}"
            )
    if colon and group:
        gid = _number(group, text)
        if gid is None:
            gid = _group(image, group)
    return Owner(uid, gid or 0)


def _group(image: MergedTree, group: str) -> int:
    for name, _, number, *_ in _lines(image, "etc/group", 3):
        if name == group and number.isdecimal():
            return int(number)
    raise ImageError(
        "unable to convert uid/gid chown string to host mapping: "
        f"can't find gid for group {group}: no such group: {group}"
    )


def _number(text: str, whole: str) -> int | None:
    if not (text.isascii() and text.isdecimal()):
        return None
    if int(text) > _HIGHEST_ID:
        raise ImageError(f"invalid chown string {whole}: ids are at most {_HIGHEST_ID}")
    return int(text)


def _lines(image: MergedTree, path: str, fields: int) -> Iterator[list[str]]:
    try:
        _, node = image.find(path)
        with open(node.path, "rb") as file:
            text = file.read(_LARGEST).decode(errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        parts = line.strip().split(":")
        if parts[0] and not line.startswith("#"):
            yield parts + [""] * (fields - len(parts))
