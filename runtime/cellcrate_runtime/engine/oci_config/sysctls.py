"""``--sysctl``: kernel parameters that belong to a namespace, and so may differ in a container.

Source: runc's libcontainer/configs/validate (which parameters are namespaced); namespaces(7).
"""

from __future__ import annotations

from collections.abc import Mapping

from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.engine.oci_config.modes import Modes
from cellcrate_runtime.oci.sysctls import path_components

__all__ = ["check_sysctls"]

_IPC = frozenset(
    [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ]
)
_UTS = frozenset({"kernel.domainname", "kernel.hostname"})


def check_sysctls(sysctls: Mapping[str, str], modes: Modes) -> None:
    """Refuse parameters of the whole machine.

    Raises:
        BadRequestError: A parameter is not in a namespace of the container's own.
    """
    for name in sysctls:
        dotted = name.replace("/", ".")
        if dotted in _IPC or dotted.startswith("fs.mqueue."):
            own = modes.ipc != "host"
        elif dotted.startswith("net."):
            own = modes.network != "host"
        elif dotted in _UTS:
            own = modes.uts != "host"
        else:
            own = False
        # "net/../kernel/x" is not the network's.
        if not own or ".." in path_components(name):
            raise BadRequestError(
                f"sysctl '{name}' is not allowed: it is not in a separate kernel namespace of the "
                "container. Set it on the host, with sysctl(8)"
            )
