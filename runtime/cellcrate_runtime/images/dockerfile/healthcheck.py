"""HEALTHCHECK, and its options.

Source: the reference of the Dockerfile format, "HEALTHCHECK".
"""

from __future__ import annotations

from cellcrate_runtime.images.dockerfile import arguments
from cellcrate_runtime.images.dockerfile.arguments import Flags
from cellcrate_runtime.images.dockerfile.durations import nanoseconds
from cellcrate_runtime.images.dockerfile.errors import DockerfileError
from cellcrate_runtime.images.dockerfile.instructions import Healthcheck
from cellcrate_runtime.images.dockerfile.statements import Statement

__all__ = ["read_healthcheck"]

_MIN_INTERVAL = 1_000_000  # nanoseconds, Docker's MinimumDuration
_MOST_RETRIES = 2**31 - 1


def read_healthcheck(statement: Statement, _: str) -> Healthcheck:
    """Understand a HEALTHCHECK.

    Raises:
        DockerfileError: It is neither NONE nor CMD, or an option is wrong.
    """
    names = ("interval", "timeout", "start-period", "start-interval", "retries")
    flags = Flags(statement, names)
    words = statement.rest.split(maxsplit=1)
    if not words:
        raise DockerfileError("HEALTHCHECK requires at least one argument")
    kind, rest = words[0].upper(), words[1] if len(words) > 1 else ""
    if kind == "NONE":
        if rest:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments")
        return Healthcheck(line=statement.line, text=statement.text, test=("NONE",))
    if kind != "CMD":
        raise DockerfileError(f'Unknown type "{kind}" in HEALTHCHECK (try CMD)')
    command = arguments.command(rest)
    if not command.words:
        raise DockerfileError("Missing command after HEALTHCHECK CMD")
    return Healthcheck(
        line=statement.line,
        text=statement.text,
        test=("CMD-SHELL" if command.shell else "CMD", *command.words),
        interval=_interval(flags, "interval"),
        timeout=_interval(flags, "timeout"),
        start_period=_interval(flags, "start-period"),
        start_interval=_interval(flags, "start-interval"),
        retries=_retries(flags.get("retries")),
    )


def _interval(flags: Flags, name: str) -> int:
    text = flags.get(name)
    if not text:
        return 0
    try:
        found = nanoseconds(text)
    except ValueError as error:
        raise DockerfileError(f"--{name}: {error}") from None
    if found and found < _MIN_INTERVAL:
        raise DockerfileError(f'Interval "{name}" cannot be less than 1ms')
    return found


def _retries(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()) or int(text) > _MOST_RETRIES:
        raise DockerfileError(f"--retries must be a number that is not negative ({text})")
    return int(text)
