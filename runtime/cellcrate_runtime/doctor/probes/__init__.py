"""What is tried: a module a subject, a function a probe.

Each runs in a process of its own (see ``runner``), which it may spoil: leave namespaces, mount over
folders, load a filter. Nothing of it is left when the process ends.
"""

from __future__ import annotations

from ..runner import Probe
from . import filesystems, identity, limits, machine, namespaces, network, syscalls

__all__ = ["for_this_user"]


def for_this_user() -> list[Probe]:
    """Return what matters to the user who asks, the most basic first."""
    return [
        *namespaces.probes(),
        *filesystems.probes(),
        *identity.probes(),
        *limits.probes(),
        *syscalls.probes(),
        *network.probes(),
        *machine.probes(),
    ]
