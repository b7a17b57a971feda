"""Signals by name or number, as ``--stop-signal`` and ``docker kill`` take them."""

from __future__ import annotations

import signal

from cellcrate_runtime.engine.errors import BadRequestError

__all__ = ["parse_signal"]

_LAST = 64  # SIGRTMAX


def parse_signal(text: str) -> int:
    """Return a signal's number: ``9``, ``KILL``, ``SIGKILL``, ``RTMIN+3``, in any case.

    Raises:
        BadRequestError: There is no such signal.
    """
    name = text.strip().upper().removeprefix("SIG")
    if name.isdecimal() and 0 < int(name) <= _LAST:
        return int(name)
    base, sign, offset = name.replace("-", "+-").partition("+")
    try:
        number = signal.Signals[f"SIG{base}"].value + (int(offset) if sign else 0)
    except (KeyError, ValueError):
        number = 0
    if not 0 < number <= _LAST or (sign and base not in ("RTMIN", "RTMAX")):
        raise BadRequestError(
            f"Invalid signal: {text}. Use a name such as SIGTERM, or a number from 1 to {_LAST}"
        )
    return number
