"""What can go wrong between here and a registry, said for people."""

from __future__ import annotations

from cellcrate_runtime.images.errors import ImageError

__all__ = [
    "AccessDeniedError",
    "InvalidRequestError",
    "LoginFailedError",
    "NotInRegistryError",
    "RegistryBusyError",
    "RegistryError",
    "RegistryUnreachableError",
    "TransferCancelledError",
]


class RegistryError(ImageError):
    """A registry did not do what it was asked for; the message says what it said.

    Attributes:
        code: The registry's own word, such as ``MANIFEST_UNKNOWN``; see distribution-spec 1.1,
            spec.md, "Error Codes". Empty where it gave none.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class RegistryUnreachableError(RegistryError):
    """No connection, or none that is safe enough."""


class RegistryBusyError(RegistryError):
    """The registry asks for patience (429), or is out of order for a while (5xx)."""


class NotInRegistryError(RegistryError, LookupError):
    """The registry does not have it, or does not say that it has."""


class AccessDeniedError(RegistryError):
    """The registry wants to know who asks, or knows and refuses."""


class InvalidRequestError(RegistryError, ValueError):
    """What was asked for makes no sense, whatever a registry may say to it."""


class LoginFailedError(AccessDeniedError):
    """The user's name or password is wrong."""


class TransferCancelledError(RegistryError):
    """Whoever wanted it wants it no more."""
