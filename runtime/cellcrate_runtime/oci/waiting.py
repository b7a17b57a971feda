"""A process that has been made and waits for its start."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cellcrate_runtime.oci.channel import START, MakerEnd
from cellcrate_runtime.oci.errors import OCIError

if TYPE_CHECKING:
    from cellcrate_runtime.oci.shared_mounts import SharedRoot

__all__ = ["InitProcess", "kill_and_close", "reap", "undone_on_failure"]


class InitProcess:
    """The first process of a container, or (as ExecProcess) one more; waiting until started.

    Attributes:
        pid: Its process id as the caller sees it. The caller is its parent and must reap it.
        pidfd: A descriptor for it (pidfd_open(2)), readable once it has ended; the caller's to
            close.
        console: The master side of its terminal, or None without one; the caller closes it.
        shared_root: Where its root is mounted for others too; the caller takes that away when the
            container has ended.
    """

    def __init__(self, pid: int, pidfd: int, maker: MakerEnd) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.console: int | None = None
        self.shared_root: SharedRoot | None = None
        self._maker: MakerEnd | None = maker

    @property
    def maker(self) -> MakerEnd:
        """The channel to the process, until it is started."""
        if self._maker is None:
            raise OCIError("the process has been started, or given up, already", "invalid")
        return self._maker

    def start(self) -> None:
        """Let the process execute its program; return when it has.

        Raises:
            StartError: The program is missing or cannot be executed; the process is gone, and
                its descriptors are closed.
        """
        maker = self.maker
        try:
            maker.tell(START)
            maker.hear_end()
        except BaseException:
            self.abort()
            raise
        maker.close()
        self._maker = None

    def abort(self) -> None:
        """Kill the process before its start, reap it and close what belongs to it. Idempotent."""
        if self._maker is None:
            return
        self._maker.close()
        self._maker = None
        kill_and_close(self.pid, self.pidfd, self.console)
        self.pidfd, self.console = -1, None


@contextmanager
def undone_on_failure(made: InitProcess) -> Iterator[MakerEnd]:
    """Give a process up if what is done to it fails."""
    try:
        yield made.maker
    except BaseException:
        made.abort()
        raise


def kill_and_close(pid: int, pidfd: int, console: int | None) -> None:
    """Kill and reap a child, and close the descriptors that are kept for it."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    reap(pid)
    os.close(pidfd)
    if console is not None:
        os.close(console)


def reap(pid: int) -> None:
    """Take the status of a child that has ended, or is about to."""
    # A caller that waits for all its children may have been faster.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
