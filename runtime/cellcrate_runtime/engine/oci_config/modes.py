"""Which namespaces a container has of its own, which it shares, and with whom.

``--network``, ``--pid``, ``--ipc``, ``--uts``, ``--cgroupns`` and ``--userns``; see namespaces(7).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from cellcrate_runtime.engine.api.types import HostConfig
from cellcrate_runtime.engine.errors import BadRequestError, NotServedError

__all__ = ["Modes", "Sharing", "check_modes"]

Sharing: TypeAlias = str
"""``private``, ``host``, or the full id of the container that it is shared with."""


@dataclass(frozen=True)
class Modes:
    """How a container's namespaces are shared."""

    network: Sharing
    pid: Sharing
    ipc: Sharing
    uts: Sharing
    cgroup: Sharing
    user: Sharing

    @property
    def partner(self) -> str:
        """The container whose namespaces are joined, or the empty string.

        Its user namespace is joined as well: the kernel lets nobody join a namespace, or mount its
        /proc or /sys, who is not root in the user namespace that owns it (user_namespaces(7)).
        """
        for mode in (self.network, self.pid, self.ipc):
            if mode not in ("private", "host"):
                return mode
        return ""


def check_modes(host: HostConfig, resolve: Callable[[str], str]) -> Modes:
    """Understand the modes of a container.

    Args:
        host: What was asked for.
        resolve: Turns a container's name or id into its full id, or raises.

    Raises:
        BadRequestError: A mode makes no sense, or the modes do not go together.
        NotServedError: A network that is not served yet.
    """
    modes = Modes(
        network=_network(host.network_mode, resolve),
        pid=_mode("PID", host.pid_mode, ("", "host"), resolve),
        ipc=_mode("IPC", host.ipc_mode, ("", "none", "private", "shareable", "host"), resolve),
        uts=_mode("UTS", host.uts_mode, ("", "host"), None),
        cgroup=_mode("cgroup namespace", host.cgroupns_mode, ("", "private", "host"), None),
        user=_mode("USER", host.userns_mode, ("", "private", "host"), None),
    )
    partners = {m for m in (modes.network, modes.pid, modes.ipc) if m not in ("private", "host")}
    if len(partners) > 1:
        raise BadRequestError(
            "a container can share namespaces with one other container only, because it also "
            "shares that container's user namespace"
        )
    return modes


def _mode(
    what: str, given: str, choices: tuple[str, ...], resolve: Callable[[str], str] | None
) -> Sharing:
    kind, colon, reference = given.partition(":")
    if kind == "container" and colon and reference and resolve is not None:
        return resolve(reference)
    if given not in choices:
        also = ", or container:NAME" if resolve is not None else ""
        named = ", ".join(choice for choice in choices if choice)
        raise BadRequestError(f"invalid {what} mode: {given}. It can be {named}{also}")
    return "host" if given == "host" else "private"


def _network(given: str, resolve: Callable[[str], str]) -> Sharing:
    if given in ("", "default", "bridge", "none"):
        return "private"
    if given == "host":
        return "host"
    kind, colon, reference = given.partition(":")
    if kind == "container" and colon:
        if not reference:
            raise BadRequestError("Invalid network mode: invalid container format container:")
        return resolve(reference)
    raise NotServedError(
        f"the network {given!r}", "Use --network none, bridge, host or container:NAME."
    )
