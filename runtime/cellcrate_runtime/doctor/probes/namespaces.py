"""Namespaces: what makes a process believe that it has the machine to itself."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial

from cellcrate_runtime.linux import mounts, namespaces

from ..rights import become_maker, is_root, new_mount_namespace
from ..runner import Lacking, Probe

__all__ = ["probes"]

# Settings that forbid ordinary users their namespaces, the value that does, and what mends it.
_SETTINGS = (
    ("kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    ("user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=28633"),
)


def probes() -> list[Probe]:
    """Return the probes."""
    root = is_root()
    return [
        Probe(
            "user namespaces",
            gives="root in a container is nobody outside of it",
            without="An ordinary user cannot make containers."
            if not root
            else "Root in a container would be root outside of it.",
            attempt=_user,
            needed=not root,
        ),
        Probe(
            "namespaces",
            gives="a container has its own processes, mounts, network, name, IPC and cgroup view",
            without="There is nothing to make containers with.",
            attempt=_others,
            needed=True,
        ),
        Probe(
            "mounts",
            gives="a container has its own root file system",
            without="A container cannot have a root file system of its own.",
            attempt=_mounts,
            needed=True,
        ),
        Probe(
            "fresh /proc",
            gives="a container sees its own processes and no others",
            without="A container cannot see its own processes.",
            attempt=_proc,
            needed=True,
        ),
    ]


def _user() -> str:
    try:
        namespaces.unshare(namespaces.FLAGS["user"])
    except OSError as error:
        raise _why_not(error) from error
    with open("/proc/self/uid_map") as file:
        if file.read():
            raise Lacking("missing", "The new namespace has user ids already, which is odd.")
    return ""


def _why_not(error: OSError) -> Lacking:
    """Say which setting forbids it, or that something around this process does."""
    for name, value, remedy in _SETTINGS:
        try:
            with open(f"/proc/sys/{name}") as file:
                if file.read().strip() == value:
                    return Lacking("missing", f"{name.replace('/', '.')} is {value}.", remedy)
        except OSError:
            continue
    if error.errno == errno.ENOSPC:
        return Lacking(
            "missing",
            "There are as many user namespaces as are allowed, here or in the user namespace "
            "around this process.",
            "sudo sysctl -w user.max_user_namespaces=28633",
        )
    return Lacking(
        "missing",
        f"The kernel says: {error.strerror}. No setting forbids it, so a sandbox around this "
        "process does: a container's seccomp filter, or a security module.",
        "Run outside of the sandbox, or start it with --security-opt seccomp=unconfined.",
    )


def _others() -> str:
    become_maker()
    for name in ("mount", "network", "uts", "ipc", "cgroup", "pid"):
        _attempt(f"A {name} namespace", partial(namespaces.unshare, namespaces.FLAGS[name]))
    _attempt("A host name", lambda: namespaces.set_hostname("cellcrate-doctor"))
    if os.uname().nodename != "cellcrate-doctor":
        raise Lacking("missing", "The host name did not change.")
    _attempt("A process in a new PID namespace", lambda: _in_a_child(lambda: None))
    return ""


def _attempt(what: str, function: Callable[[], None]) -> None:
    try:
        function()
    except OSError as error:
        raise Lacking("missing", f"{what} cannot be had: {error.strerror}.") from error


def _mounts() -> str:
    become_maker()
    new_mount_namespace()
    # Over /proc, because it is a folder that every machine has and that nobody writes to.
    mounts.mount("tmpfs", "/proc", "tmpfs", mounts.MS_NOSUID | mounts.MS_NODEV)
    os.mkdir("/proc/etc")
    mounts.mount("/etc", "/proc/etc", None, mounts.MS_BIND | mounts.MS_REC)
    root = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    mounts.pivot_into(root)
    if os.listdir("/") != ["etc"]:
        raise Lacking("missing", "The root did not change.")
    return ""


def _proc() -> str:
    become_maker()
    new_mount_namespace()
    namespaces.unshare(namespaces.FLAGS["pid"])
    try:
        _in_a_child(_mount_proc)
    except OSError as error:
        raise Lacking(
            "missing",
            f"The kernel says: {error.strerror}. It shows a new /proc only to who sees the whole "
            "of the old one, and a sandbox around this process covers parts of it.",
            "Start the sandbox with --security-opt systempaths=unconfined (Podman: unmask=ALL).",
        ) from error
    return ""


def _mount_proc() -> None:
    mounts.mount("proc", "/proc", "proc", mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC)
    if os.readlink("/proc/self") != "1":
        raise OSError(0, "this process is not number 1 in it")


def _in_a_child(function: Callable[[], None]) -> None:
    """Run a function in the first process of a new PID namespace.

    Raises:
        OSError: It did.
    """
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            function()
            code = 0
        except OSError as error:
            code = error.errno or 255
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise OSError(code, os.strerror(code))
