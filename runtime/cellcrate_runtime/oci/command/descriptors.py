"""Descriptors of the caller that the program inherits."""

from __future__ import annotations

import os

from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.errors import CommandError

__all__ = ["preserved_by"]


def preserved_by(arguments: Arguments) -> int:
    """How many descriptors from 3 on are the program's; to be asked before any other is opened.

    Raises:
        CommandError: The caller has not as many.
    """
    number = arguments.number("preserve-fds") or 0
    number += int(os.environ.get("LISTEN_FDS", "0") or "0")  # of sd_listen_fds(3)
    for descriptor in range(3, 3 + number):
        try:
            os.fstat(descriptor)
        except OSError:
            raise CommandError(
                f"--preserve-fds: there is no descriptor {descriptor} to preserve"
            ) from None
        os.set_inheritable(descriptor, True)
    return number
