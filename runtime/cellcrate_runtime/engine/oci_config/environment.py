"""The environment variables of a container's program."""

from __future__ import annotations

from collections.abc import Iterable

from cellcrate_runtime.engine.errors import BadRequestError

__all__ = ["DEFAULT_PATH", "check_environment", "environment", "merge"]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def check_environment(variables: Iterable[str]) -> None:
    """Refuse variables without a name, or with a byte that no program could see.

    Raises:
        BadRequestError: Such a variable was given.
    """
    for variable in variables:
        if not variable or variable.startswith("="):
            raise BadRequestError(f"invalid environment variable: {variable or '(empty)'}")
        if "\0" in variable:
            raise BadRequestError(f"invalid environment variable: {variable!r} has a zero byte")


def merge(defaults: Iterable[str], given: Iterable[str]) -> list[str]:
    """Return the defaults with what was given over them; a bare name takes a variable away."""
    merged: dict[str, str | None] = {}
    for variable in (*defaults, *given):
        name, equals, _ = variable.partition("=")
        merged[name] = variable if equals else None
    return [variable for variable in merged.values() if variable is not None]


def environment(given: Iterable[str], *, hostname: str, tty: bool) -> list[str]:
    """Return a program's whole environment; HOME is added where the user is known, in the shim."""
    defaults = [f"PATH={DEFAULT_PATH}", f"HOSTNAME={hostname}"]
    if tty:
        defaults.append("TERM=xterm")
    return merge(defaults, given)
