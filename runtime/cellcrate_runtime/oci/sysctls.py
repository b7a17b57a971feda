"""Kernel parameters that a container may have of its own, because a namespace holds them.

Source: namespaces(7), ipc_namespaces(7), network_namespaces(7); Documentation/admin-guide/sysctl.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from cellcrate_runtime.linux import recording

__all__ = ["namespace_of", "set_sysctls"]

_IPC = frozenset(
    f"kernel.{name}"
    for name in (
        "msgmax",
        "msgmnb",
        "msgmni",
        "sem",
        "shmall",
        "shmmax",
        "shmmni",
        "shm_rmid_forced",
    )
)
_UTS = frozenset({"kernel.domainname", "kernel.hostname"})


def namespace_of(name: str) -> str | None:
    """The type of namespace that holds a parameter; None for those of the whole machine."""
    dotted = name.replace("/", ".")
    if dotted in _IPC or dotted.startswith("fs.mqueue."):
        return "ipc"
    if dotted.startswith("net."):
        return "network"
    return "uts" if dotted in _UTS else None


def path_components(name: str) -> Iterable[str]:
    """The folders and the file below /proc/sys, whichever separator is used.

    Source: sysctl(8): the first of ``.`` and ``/`` in a name is its separator, and the other stands
    for itself, so that interfaces with a dot in their name can be written.
    """
    slash, dot = name.find("/"), name.find(".")
    if slash >= 0 and (dot < 0 or slash < dot):
        return name.split("/")
    return [part.replace("/", ".") for part in name.split(".")]


def set_sysctls(values: Mapping[str, str]) -> None:
    """Set parameters of this process's namespaces, through the host's /proc.

    Raises:
        OSError: The kernel does not have one of them, or does not take its value.
    """
    for name, value in values.items():
        path = "/proc/sys/" + "/".join(path_components(name))
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(file, value.encode())
        except OSError as error:
            error.filename = path
            raise
        finally:
            os.close(file)
        if recording.active is not None:
            recording.active.note("write", file=path, value=value)
