"""A process that waits for the next request: the fork is over before anybody asks.

It has made a container's first process, which is the usual one's, and waits as well. A forked
process also copies each page of memory when it first writes to it, and Python writes wherever it
counts a reference. So both rehearse, and have most of that behind them, too.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from typing import NoReturn

import msgspec

from cellcrate_runtime.engine import wire
from cellcrate_runtime.engine.complaints import complain, complain_of_defect
from cellcrate_runtime.engine.launcher import rehearsal
from cellcrate_runtime.engine.protocol import Launch, LauncherRequest
from cellcrate_runtime.engine.shim import main as shim
from cellcrate_runtime.engine.shim.ready import Ready
from cellcrate_runtime.engine.workers import outside
from cellcrate_runtime.linux.cgroups import CgroupError
from cellcrate_runtime.oci import container
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.example import example
from cellcrate_runtime.oci.spec import IDMapping

__all__ = ["Taken", "fork", "wait_until_taken"]

_NEWS = msgspec.msgpack.Encoder()
_LONGEST_NEWS = 4096 + 64  # PATH_MAX and a little; a pipe takes as much at once, see pipe(7)


class Taken(msgspec.Struct):
    """What a spare says when it has a request."""

    bundle: str = ""  # of the container that it starts
    took_ready: bool = False  # the control group made in advance is that container's now
    upcoming_id: str = ""  # the container to be ready for after this one


_decoder = msgspec.msgpack.Decoder(Taken)


def fork(channel: socket.socket, mappings: list[IDMapping], ready: Ready | None) -> int:
    """Make a process that serves the next request on the channel; the caller reaps it.

    Args:
        channel: Where requests come from.
        mappings: The ids that the next container's user namespace will probably have.
        ready: The control group that the next container probably has; whoever starts that
            container takes it over.

    Returns a descriptor for :func:`wait_until_taken`.

    Raises:
        OSError: The user has too many processes, or the machine has no memory.
    """
    taken, taking = os.pipe()
    try:
        if not os.fork():
            os.close(taken)
            _live(channel, mappings, ready, taking)
    except OSError:
        os.close(taken)
        raise
    finally:
        os.close(taking)
    return taken


def wait_until_taken(taken: int) -> Taken | None:
    """Wait until the spare has a request, or the engine is gone; None if the spare died."""
    try:
        news = os.read(taken, _LONGEST_NEWS)
    finally:
        os.close(taken)
    return _decoder.decode(news) if news else None


def _live(
    channel: socket.socket, mappings: list[IDMapping], ready: Ready | None, taking: int
) -> NoReturn:
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        first = None
        if not _has_event(channel.fileno(), select.POLLIN):  # nobody is waiting yet
            first = _make_first_process(mappings, ready)
            rehearsal.rehearse()
        received = _next(channel)
        request = received[0] if received is not None else None
        news = _news(request, ready)
        if ready is not None and not news.took_ready:
            ready.let_go()  # it stays the launcher's, whatever becomes of this process
            ready = None
        os.write(taking, _NEWS.encode(news))
        os.close(taking)
        channel.close()
        if received is not None:
            _serve(*received, first, ready)
        status = 0
    except BaseException:
        complain_of_defect()
    finally:
        # Nothing of the launcher's is the child's to clean up.
        os._exit(status)


def _next(channel: socket.socket) -> tuple[LauncherRequest, list[int]] | None:
    try:
        return wire.receive(channel, wire.launcher_requests)
    except (OSError, msgspec.DecodeError) as error:
        complain(f"a request could not be read: {error}")
        return None


def _news(request: LauncherRequest | None, ready: Ready | None) -> Taken:
    if not isinstance(request, Launch):
        return Taken()
    took = ready is not None and ready.container_id == request.container_id
    return Taken(request.bundle, took, request.upcoming_id)


def _make_first_process(mappings: list[IDMapping], ready: Ready | None) -> container.Spare | None:
    cgroup = ready.cgroup if ready is not None else None
    try:
        return container.make_spare(mappings, example(), cgroup)
    except (OCIError, CgroupError):
        return None  # who asks for such a container will hear why


def _serve(
    request: LauncherRequest,
    descriptors: list[int],
    first: container.Spare | None,
    ready: Ready | None,
) -> None:
    if _has_event(descriptors[0], 0):
        _give_up(first, ready)  # the engine was killed meanwhile
        return
    if isinstance(request, Launch):
        shim.run(request, descriptors, first, ready)
    else:
        _give_up(first, ready)
        outside.run(request, descriptors)


def _give_up(first: container.Spare | None, ready: Ready | None) -> None:
    if first is not None:
        first.process.abort()
    if ready is not None:
        ready.discard()


def _has_event(descriptor: int, events: int) -> bool:
    """Whether one of these events, or a hang-up, can be seen on a descriptor now."""
    poll = select.poll()
    poll.register(descriptor, events)
    return bool(poll.poll(0))
