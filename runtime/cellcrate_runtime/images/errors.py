"""What can go wrong with images, said for people."""

from __future__ import annotations

__all__ = [
    "AmbiguousImageError",
    "CorruptContentError",
    "ImageConflictError",
    "ImageError",
    "ImageNotFoundError",
    "InvalidArchiveError",
    "InvalidReferenceError",
    "LayerTooLargeError",
    "PackError",
    "StoreFullError",
    "UnsafeArchiveError",
    "printable",
]


class ImageError(Exception):
    """Something is wrong with an image or with the store; the message says what to do."""


class InvalidReferenceError(ImageError, ValueError):
    """A name that cannot be the name of an image."""


class ImageNotFoundError(ImageError, LookupError):
    """No image of that name or id is in the store."""


class AmbiguousImageError(ImageNotFoundError):
    """The beginning of an id fits more than one image."""


class ImageConflictError(ImageError):
    """The image is in use, so it cannot be removed (or only by force)."""


class InvalidArchiveError(ImageError, ValueError):
    """An archive, or a document in it, that is not what its specification allows."""


class UnsafeArchiveError(InvalidArchiveError):
    """An archive that would write outside the folder that it is unpacked into."""


class LayerTooLargeError(InvalidArchiveError):
    """A layer that would be larger on disk than this machine's owner allows."""


class CorruptContentError(ImageError):
    """Content whose digest is not the one that it goes by."""


class StoreFullError(ImageError):
    """The disk, or the user's share of it, has no room left for images."""


class PackError(ImageError):
    """A program that cannot be packed: it, or something that it needs, cannot be found or read."""


def printable(name: str) -> str:
    """A file's name as text, also where it is none: a message may have to become JSON."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
