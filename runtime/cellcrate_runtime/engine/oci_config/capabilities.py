"""Which capabilities a container's program gets; see capabilities(7)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.engine.words import words
from cellcrate_runtime.linux.capabilities import NAMES, last

__all__ = ["DEFAULT", "effective"]

# What Docker leaves to a container's root: moby, daemon/pkg/oci/caps/defaults.go.
DEFAULT = frozenset(
    f"CAP_{name}"
    for name in words(
        """
    CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP
    NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE
    """
    )
)


def effective(
    add: Sequence[str], drop: Sequence[str], *, privileged: bool, own_user_namespace: bool
) -> list[str]:
    """Return the capabilities after ``--cap-add`` and ``--cap-drop``, in the kernel's order.

    A container without a user namespace of its own can have no more than the engine itself.

    Raises:
        BadRequestError: There is no such capability, or the engine does not have it to give.
    """
    added, dropped = _names(add, "CapAdd"), _names(drop, "CapDrop")
    everything = privileged or "ALL" in added
    nothing = "ALL" in dropped and not privileged
    wanted = set(NAMES) if everything else set() if nothing else set(DEFAULT)
    if not privileged:
        wanted = (wanted | (added - {"ALL"})) - (dropped - {"ALL"})
    available = _known_here() if own_user_namespace else _bounding_set()
    missing = (wanted & added) - available
    if missing:
        raise BadRequestError(
            f"invalid CapAdd: {', '.join(sorted(missing))} cannot be given, because the engine "
            "does not have it on this machine"
        )
    return [name for name in NAMES if name in wanted & available]


def _names(given: Sequence[str], member: str) -> set[str]:
    names = set()
    for item in given:
        name = item.upper()
        if name != "ALL" and not name.startswith("CAP_"):
            name = f"CAP_{name}"
        if name != "ALL" and name not in NAMES:
            raise BadRequestError(
                f'invalid {member}: unknown capability: "{item}". Names are those of '
                "capabilities(7), such as NET_ADMIN, or ALL"
            )
        names.add(name)
    return names


@functools.cache
def _known_here() -> frozenset[str]:
    """The capabilities that this kernel knows."""
    return frozenset(NAMES[: last() + 1])


@functools.cache
def _bounding_set() -> frozenset[str]:
    """The capabilities that this process may hand on."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            mask = int(line.split()[1], 16)
            return frozenset(name for bit, name in enumerate(NAMES) if mask & (1 << bit))
    return frozenset(NAMES)
