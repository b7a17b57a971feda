"""Names of images, read as Docker reads them.

``python`` is short for ``docker.io/library/python:latest``. The short form is called *familiar* and
is what people see; the long one is *canonical* and is what the store keeps.

Source: the grammar in the comment at the head of ``reference.go`` of the project
distribution/reference, and its rules of normalisation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from cellcrate_runtime.images.errors import InvalidReferenceError

__all__ = ["DEFAULT_TAG", "Reference", "is_digest", "parse"]

DEFAULT_TAG = "latest"
DEFAULT_DOMAIN = "docker.io"
LEGACY_DOMAIN = "index.docker.io"
OFFICIAL_PREFIX = "library/"
LONGEST_NAME = 255

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = rf"{_PATH_PART}(?:/{_PATH_PART})*"
_TAG = r"[\w][\w.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"

_reference = re.compile(
    rf"(?P<domain>{_DOMAIN})/(?P<path>{_PATH})(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?",
    re.ASCII,
)
_digest = re.compile(r"sha256:[0-9a-f]{64}")
_bare_id = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """The name of an image: ``domain/path``, with a tag, a digest, or both."""

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """The repository, in full: ``docker.io/library/python``."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The repository as people write it: ``python``."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        short = self.path.removeprefix(OFFICIAL_PREFIX)
        # docker.io/library/a/b must not become a/b, which would mean another repository.
        return self.path if "/" in short else short

    @property
    def canonical(self) -> str:
        """The whole reference in full: ``docker.io/library/python:3.12``."""
        return self.name + self._suffix

    @property
    def familiar(self) -> str:
        """The whole reference as people write it: ``python:3.12``."""
        return self.familiar_name + self._suffix

    @property
    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return tag + digest

    def with_default_tag(self) -> Reference:
        """The same reference, tagged ``latest`` if it has neither tag nor digest."""
        if self.tag or self.digest:
            return self
        return replace(self, tag=DEFAULT_TAG)

    def __str__(self) -> str:
        return self.familiar


def is_digest(text: str) -> bool:
    """Whether the text is a whole SHA-256 digest, such as ``sha256:`` and 64 digits."""
    return _digest.fullmatch(text) is not None


def parse(text: str) -> Reference:
    """Read the name of an image.

    Raises:
        InvalidReferenceError: The text cannot be a name; the message says why.
    """
    if _bare_id.fullmatch(text):
        raise InvalidReferenceError(
            f"{text} is an image id, and cannot be a name: 64 hexadecimal digits are kept for ids."
        )
    domain, remainder = _split_domain(text)
    if remainder.split(":")[0].split("@")[0].lower() != remainder.split(":")[0].split("@")[0]:
        raise InvalidReferenceError(
            f"invalid reference format: repository name ({remainder}) must be lowercase"
        )
    match = _reference.fullmatch(f"{domain}/{remainder}")
    if match is None:
        raise InvalidReferenceError(
            f'invalid reference format: "{text}". Names look like "name", "name:tag", '
            '"registry.example.com/folder/name:tag" or "name@sha256:…"; '
            "a name is made of lower-case letters, digits, and single . _ - between them."
        )
    reference = Reference(match["domain"], match["path"], match["tag"], match["digest"])
    if len(reference.name) > LONGEST_NAME:
        raise InvalidReferenceError(
            f'"{text[:40]}…" is too long for the name of an image: at most {LONGEST_NAME} letters.'
        )
    return reference


def _split_domain(text: str) -> tuple[str, str]:
    """Tell the registry's domain from the path, as Docker guesses it.

    The part before the first slash is a domain only if it could not be a folder on Docker Hub.
    """
    head, slash, tail = text.partition("/")
    is_domain = slash and (
        "." in head or ":" in head or head == "localhost" or head.lower() != head
    )
    domain, remainder = (head, tail) if is_domain else (DEFAULT_DOMAIN, text)
    if domain == LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in remainder:
        remainder = OFFICIAL_PREFIX + remainder
    return domain, remainder
