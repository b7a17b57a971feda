"""Descriptors of the caller that the program inherits."""

from __future__ import annotations

import os

from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.errors import CommandError

__all__ = ["preserved_by", "tell_of_sockets"]


def preserved_by(arguments: Arguments) -> int:
    """How many descriptors from 3 on are the program's; to be asked before any other is opened.

    Raises:
        CommandError: The caller has not as many.
    """
    number = arguments.number("preserve-fds") or 0
    number += _passed_by_systemd()
    for descriptor in range(3, 3 + number):
        try:
            os.fstat(descriptor)
        except OSError:
            raise CommandError(
                f"--preserve-fds: there is no descriptor {descriptor} to preserve"
            ) from None
        os.set_inheritable(descriptor, True)
    return number


def tell_of_sockets(environment: list[str]) -> list[str]:
    """The program's environment, with what it needs to find the sockets that systemd passed on.

    Source: sd_listen_fds(3).
    """
    number = _passed_by_systemd()
    return [*environment, f"LISTEN_FDS={number}", "LISTEN_PID=1"] if number else environment


def _passed_by_systemd() -> int:
    number = os.environ.get("LISTEN_FDS", "")
    return int(number) if number.isdecimal() else 0
