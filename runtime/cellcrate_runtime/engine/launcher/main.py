"""Keep one process ready to become a shim or a file worker, and make the next when it is taken.

Everything that a child needs is imported and computed before the first fork, so that a start costs
no import, and all shims share that memory. There are no threads: a child of a process with threads
could inherit a lock that nobody will release.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import time

from cellcrate_runtime.engine.complaints import complain_of_defect
from cellcrate_runtime.engine.launcher import refusal, spare, warming
from cellcrate_runtime.engine.shim import ready

__all__ = ["main"]

# A container that has just been asked for shall start before the next spare is made: on a machine
# with few processors both would take twice as long. In seconds.
_LET_IT_START = 0.03
_AFTER_A_DEATH = 0.1


def main(channel_number: int, run_folder: str, container_id: str = "") -> None:
    """Serve the engine at the other end of a channel, until it closes it.

    Args:
        channel_number: The descriptor of the channel, inherited.
        run_folder: The engine's run folder, in which living shims are found.
        container_id: The container to be ready for at first, if any.
    """
    channel = socket.socket(fileno=channel_number)
    channel.set_inheritable(False)
    try:
        if os.geteuid() != 0:
            warming.become_root_of_a_namespace(run_folder)
        warming.warm()
        ready.clear(run_folder)
    except Exception as error:
        complain_of_defect()
        reason = f"containers cannot be started here: {error}. Run `cellcrate doctor` to see why"
        refusal.refuse_waiting(channel, reason)
        return
    signal.signal(signal.SIGCHLD, _reap)
    # Collections would touch, and so copy, memory that the children share.
    gc.collect()
    gc.freeze()
    gc.disable()
    place = _Place(run_folder, container_id)
    try:
        _keep_a_spare(channel, place)
    finally:
        place.leave()


def _keep_a_spare(channel: socket.socket, place: _Place) -> None:
    mappings = warming.usual_mappings()
    while not _has_closed(channel):
        try:
            taken = spare.fork(channel, mappings, place.ready())
        except OSError as error:
            refusal.refuse_next(channel, f"no process could be made: {error.strerror}")
            continue
        news = spare.wait_until_taken(taken)
        if news is None:
            time.sleep(_AFTER_A_DEATH)  # somebody kills our spares: do not fork without end
            continue
        in_a_hurry = _wait(channel, _LET_IT_START)
        if news.bundle:
            place.next_is(news.upcoming_id, was_taken=news.took_ready)
            if not in_a_hurry:
                mappings = warming.learn(news.bundle, mappings)


class _Place:
    """Where the next container will be: the control group that is kept ready for it."""

    def __init__(self, run_folder: str, container_id: str) -> None:
        self._run_folder = run_folder
        self._container_id = container_id
        self._ready: ready.Ready | None = None

    def ready(self) -> ready.Ready | None:
        if self._ready is None and self._container_id:
            self._ready = ready.make(self._run_folder, self._container_id)
        return self._ready

    def next_is(self, container_id: str, *, was_taken: bool) -> None:
        if self._ready is not None and was_taken:
            self._ready.let_go()
            self._ready = None
        elif container_id != self._container_id:
            self.leave()
        self._container_id = container_id

    def leave(self) -> None:
        if self._ready is not None:
            self._ready.discard()
            self._ready = None


def _wait(channel: socket.socket, seconds: float) -> int:
    """Wait for a request, at most so long; what poll(2) says then."""
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    return sum(events for _, events in poll.poll(seconds * 1000))


def _has_closed(channel: socket.socket) -> bool:
    return bool(_wait(channel, 0) & select.POLLHUP)


def _reap(_number: int, _frame: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
