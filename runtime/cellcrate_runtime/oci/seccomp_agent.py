"""Hand the descriptor of a seccomp filter to the program that answers for it (SCMP_ACT_NOTIFY).

The container's process loads the filter and sends the kernel's descriptor to its maker; the maker
sends it on, with a description of the process, over the socket that the configuration names.
Source: OCI runtime-spec 1.3, config-linux.md, "The Container Process State"; seccomp_unotify(2).
"""

from __future__ import annotations

import socket

import msgspec

from cellcrate_runtime.linux.seccomp import Seccomp
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.state import State

__all__ = ["hand_over"]

_TIMEOUT = 10.0  # seconds, for an agent that is there and takes nothing


class _ProcessState(msgspec.Struct, rename="camel"):
    oci_version: str
    fds: list[str]
    pid: int
    metadata: str
    state: State


def hand_over(listener: int, profile: Seccomp, pid: int, state: State) -> None:
    """Send a filter's descriptor to its agent.

    Args:
        listener: The descriptor; it stays the caller's to close.
        profile: Names the agent's socket.
        pid: The process that the filter is in force for, as this process sees it.
        state: Of the container.

    Raises:
        OCIError: Nobody takes it.
    """
    about = _ProcessState(
        oci_version=state.oci_version,
        fds=["seccompFd"],
        pid=pid,
        metadata=profile.listener_metadata,
        state=state,
    )
    document = msgspec.json.encode(about)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT)
            connection.connect(profile.listener_path)
            sent = socket.send_fds(connection, [document], [listener])
            if rest := document[sent:]:  # even of nothing, the kernel asks if there is a reader
                connection.sendall(rest)
    except OSError as error:
        path = profile.listener_path
        what = f"linux.seccomp.listenerPath: failed to connect with seccomp agent {path}"
        raise OCIError.from_os_error(error, what) from error
