"""Enter namespaces that exist already, and make a process in them.

A process cannot move itself into a PID namespace, and the namespaces it makes belong to the user
namespace it is in. So a go-between enters what is to be joined, makes the process that goes on as a
child of its own parent (CLONE_PARENT), and leaves.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable

import msgspec

from cellcrate_runtime.linux import namespaces, processes, recording
from cellcrate_runtime.linux.namespaces import FLAGS
from cellcrate_runtime.oci.channel import ProcessEnd
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.spec import Namespace

__all__ = ["Joins", "go_between", "of_paths", "of_process", "open_to_joining"]


class Joins(msgspec.Struct, frozen=True):
    """Namespaces to join, held open: descriptors, each with the ``CLONE_NEW…`` flags to enter."""

    entries: list[tuple[int, int]]

    def close(self) -> None:
        """Let go of them."""
        for descriptor, _ in self.entries:
            os.close(descriptor)

    def enter(self) -> None:
        """Enter all of them.

        What belongs to a user namespace that is joined too can be entered from inside it only, and
        anything else from outside only: so each is tried before, and if need be again after.
        """
        later: list[tuple[int, int]] = []
        for descriptor, flags in self.entries:
            if flags == FLAGS["user"]:
                later.insert(0, (descriptor, flags))
                continue
            try:
                namespaces.setns(descriptor, flags)
            except PermissionError:
                later.append((descriptor, flags))
        for descriptor, flags in later:
            namespaces.setns(descriptor, flags)


def of_paths(wanted: Iterable[Namespace]) -> Joins:
    """The namespaces of a configuration that have a path.

    Raises:
        OCIError: One of them is not there.
    """
    joins = Joins([])
    for namespace in wanted:
        if not namespace.path:
            continue
        try:
            descriptor = os.open(namespace.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            joins.close()
            what = f"cannot join the {namespace.type} namespace"
            raise OCIError.from_os_error(error, what) from error
        joins.entries.append((descriptor, FLAGS[namespace.type]))
        if not namespaces.is_of_type(descriptor, namespace.type):
            joins.close()
            raise OCIError(
                f"linux.namespaces: {namespace.path} is no {namespace.type} namespace", "invalid"
            )
    return joins


def of_process(pid: int, types: Iterable[str]) -> Joins:
    """The namespaces of these types that a process lives in, all entered at once by its pidfd.

    Raises:
        OCIError: There is no such process any more.
    """
    pid = open_to_joining(pid)
    try:
        flags = 0
        for type_ in types:
            # The kernel refuses to enter the user namespace that one is in.
            if type_ != "user" or not namespaces.shares_with(pid, "user"):
                flags |= FLAGS[type_]
        return Joins([(os.pidfd_open(pid), flags)])
    except (FileNotFoundError, ProcessLookupError):
        raise OCIError("the container is not running", "not_found") from None


def open_to_joining(pid: int) -> int:
    """The process of a container by which its namespaces can be entered: its first, or its program.

    The first process of ``docker run --init`` is a fork of its maker, and closed to everybody who
    has no rights over the user namespace that the maker was executed in (ptrace(2), "Ptrace access
    mode checking"): for an ordinary user's maker, that is the host's. The program, which is its
    first child, lives in the same namespaces and was executed in the container's.
    """
    try:
        os.stat(f"/proc/{pid}/ns/user")
    except PermissionError:
        with (
            contextlib.suppress(OSError),
            open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children,
        ):
            program, *_ = children.read().split() or [str(pid)]
            return int(program)
    except OSError:
        pass  # it has ended, as whoever asked will find
    return pid


def go_between(
    channel: ProcessEnd,
    joins: Joins,
    flags: int,
    *,
    before: Callable[[], None],
    live: Callable[[], None],
) -> None:
    """Be the go-between; the process that it makes goes on with ``live``.

    Args:
        channel: To the maker; both processes speak on it.
        joins: What to enter.
        flags: ``CLONE_NEW…`` of the namespaces to make inside.
        before: Done first, with the maker's rights.
        live: The rest of the life of the process that is made.
    """
    if recording.active is not None:
        recording.active.by = "go-between"
    before()
    # The new process will be seen from inside the container, from its very beginning.
    processes.hide_from_others()
    channel.doing = "cannot join the container's namespaces"
    joins.enter()
    channel.doing = "cannot make a process in the container's namespaces"
    if recording.active is not None:  # before: afterwards the new process notes
        recording.active.note("clone3", flags=flags)
    pid, _ = processes.clone(flags | processes.CLONE_PARENT)
    if pid:
        channel.say_child(pid)
        with contextlib.suppress(OSError):
            os.close(channel.fd)
        os._exit(0)
    if recording.active is not None:
        recording.active.by = recording.FIRST
    live()
