"""The keys that end an attached session and leave the program running.

Source: Docker's documentation of ``--detach-keys``: keys separated by commas, each one character
or ``ctrl-`` and one of ``a`` to ``z``, ``@``, ``[``, ``\\``, ``]``, ``^``, ``_``.
"""

from __future__ import annotations

from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.engine.protocol import DEFAULT_DETACH_KEYS

__all__ = ["parse"]

# The control key takes the two highest of the seven bits of a character away; see ascii(7).
_WITH_CONTROL = {
    f"ctrl-{key.lower()}": ord(key) & 0x1F for key in "@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_"
}


def parse(text: str) -> bytes:
    """Return the bytes that a terminal sends for some keys; the default keys for no text.

    Raises:
        BadRequestError: A key is unknown.
    """
    if not text:
        return DEFAULT_DETACH_KEYS
    return bytes(_code(key, text) for key in text.split(","))


def _code(key: str, text: str) -> int:
    if key == "DEL":
        return 127
    if len(key) == 1 and key.isascii():
        return ord(key)
    code = _WITH_CONTROL.get(key.lower())
    if code is None:
        raise BadRequestError(
            f"Invalid detach keys ({text}): unknown key {key!r}. Give characters separated by "
            "commas, with ctrl- in front of one for the control key: ctrl-p,ctrl-q"
        )
    return code
