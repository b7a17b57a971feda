"""What a registry says when it refuses, as an error for people.

Source: distribution-spec 1.1, spec.md, "Error Codes".
"""

from __future__ import annotations

import contextlib

import msgspec

from cellcrate_runtime.images.registry.errors import (
    AccessDeniedError,
    NotInRegistryError,
    RegistryBusyError,
    RegistryError,
)
from cellcrate_runtime.images.registry.transport import Response

__all__ = ["complaint"]

_LARGEST = 64 << 10
_LONGEST_MESSAGE = 300
_KINDS: dict[int, type[RegistryError]] = {
    401: AccessDeniedError,
    403: AccessDeniedError,
    404: NotInRegistryError,
    429: RegistryBusyError,
    500: RegistryBusyError,
    502: RegistryBusyError,
    503: RegistryBusyError,
    504: RegistryBusyError,
}


class _Item(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Errors(msgspec.Struct):
    errors: list[_Item] = []


def complaint(response: Response) -> RegistryError:
    """Read the body of an answer that is no success, and make an error of it.

    The words are Docker's: the code in small letters, a colon, and the registry's message.
    """
    kind = _KINDS.get(response.status, RegistryError)
    item = _first(response)
    if not item.code:
        return kind(f"received unexpected HTTP status: {response.status} from {response.host}")
    word = item.code.lower().replace("_", " ")
    return kind(f"{word}: {_printable(item.message)}" if item.message else word, item.code)


def _first(response: Response) -> _Item:
    with contextlib.suppress(RegistryError, msgspec.DecodeError, UnicodeDecodeError):
        read = msgspec.json.decode(response.document(_LARGEST), type=_Errors)
        if read.errors:
            return read.errors[0]
    return _Item()


def _printable(text: str) -> str:
    """A registry's words, with nothing in them that would do something to a terminal."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return shown[:_LONGEST_MESSAGE]
