"""How a process is launched, beside what its configuration says of it."""

from __future__ import annotations

import msgspec

__all__ = ["IN_PROCESS", "Launch"]


class Launch(msgspec.Struct, frozen=True):
    """What depends on who makes the process, and for whom.

    Attributes:
        outlives_maker: Whether it goes on when its maker ends.
        listener: A listening socket at which any process may ask for the start; without one only
            the maker can.
        preserved: How many descriptors, from 3 on, the program inherits.
        keyring: Whether it gets a session keyring of its own.
        keep_groups: Whether it keeps the supplementary groups of its maker.
        any_cpu: Whether it may run on every CPU of its control group, and not only on those of its
            maker.
        pivot: Whether its root replaces the host's by pivot_root(2). Where that does not work, as
            on an initial ramdisk, chroot(2) is a weaker wall.
    """

    outlives_maker: bool = False
    listener: int | None = None
    preserved: int = 0
    keyring: bool = True
    keep_groups: bool = False
    any_cpu: bool = False
    pivot: bool = True


IN_PROCESS = Launch()
"""By a maker that accompanies the process until its end."""
