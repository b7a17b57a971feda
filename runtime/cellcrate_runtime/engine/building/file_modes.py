"""``--chmod``: octal, or in the words of chmod(1)."""

from __future__ import annotations

import re

__all__ = ["changed_mode"]

_CLAUSE = re.compile(r"([ugoa]*)([-+=])([rwxXst]*)")
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111}
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007}
_EXECUTABLE = 0o111


def changed_mode(text: str, mode: int, is_folder: bool) -> int:
    """Return a file's new permissions.

    Args:
        text: ``0755``, or such as ``u=rwX,go=rX``.
        mode: Its permissions so far.
        is_folder: Whether it is a folder, which ``X`` asks.

    Raises:
        ValueError: It is neither.
    """
    if text.isascii() and text.isdecimal():
        if not re.fullmatch("[0-7]{1,5}", text) or int(text, 8) > 0o7777:
            raise ValueError(
                f"invalid chmod parameter: '{text}'. it should be octal string and "
                "between 0 and 07777"
            )
        return int(text, 8)
    for clause in text.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise ValueError(f"invalid chmod parameter: '{text}'. Write it as 0755 or u=rwX,go=rX")
        mode = _apply(match[1], match[2], match[3], mode, is_folder)
    return mode


def _apply(who: str, operator: str, what: str, mode: int, is_folder: bool) -> int:
    mask = 0o7777 if not who or "a" in who else 0
    for one in who.replace("a", ""):
        mask |= _WHO[one]
    bits = 0
    for permission in what:
        if permission == "X":
            bits |= _EXECUTABLE if is_folder or mode & _EXECUTABLE else 0
        elif permission == "s":
            bits |= 0o6000
        elif permission == "t":
            bits |= 0o1000
        else:
            bits |= _BITS[permission]
    bits &= mask
    if operator == "+":
        return mode | bits
    if operator == "-":
        return mode & ~bits
    return (mode & ~mask) | bits
