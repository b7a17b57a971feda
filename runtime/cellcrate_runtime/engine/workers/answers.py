"""How a worker talks to the engine: a channel for answers, a stream for an archive."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import socket
from collections.abc import Callable

from cellcrate_runtime.engine import wire
from cellcrate_runtime.engine.complaints import complain_of_defect
from cellcrate_runtime.engine.protocol import Done, Failed, FailureKind, WorkerMessage

__all__ = ["Answers", "TaskError", "run_task"]

_BUFFER = 256 * 1024


class TaskError(Exception):
    """A task cannot be done, for a reason that its asker should read."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind: FailureKind = kind
        self.message = message


class Answers:
    """The engine's two connections to one worker; both are the worker's to close."""

    def __init__(self, descriptors: list[int]) -> None:
        channel, stream = descriptors
        self._channel = socket.socket(fileno=channel)
        self.stream = stream

    def send(self, message: WorkerMessage) -> None:
        """Send an answer.

        Raises:
            OSError: The engine has lost interest.
        """
        wire.send(self._channel, message)

    def reader(self) -> io.BufferedReader:
        """The archive that the engine sends."""
        return io.BufferedReader(io.FileIO(self.stream, "rb", closefd=False), _BUFFER)

    def writer(self) -> io.BufferedWriter:
        """Where the archive for the engine goes."""
        return io.BufferedWriter(io.FileIO(self.stream, "wb", closefd=False), _BUFFER)

    def end_stream(self) -> None:
        """Let the engine read to the end of the archive."""
        if self.stream >= 0:
            os.close(self.stream)
            self.stream = -1


def run_task(answers: Answers, task: Callable[[Answers], None]) -> None:
    """Do a task, and say that it is done or why it is not."""
    outcome: WorkerMessage
    try:
        task(answers)
        outcome = Done()
    except TaskError as error:
        outcome = Failed(kind=error.kind, message=error.message)
    except (BrokenPipeError, ConnectionResetError):
        return  # nobody listens any more
    except OSError as error:
        outcome = Failed(kind=_kind(error), message=_words(error))
    except RecursionError:
        outcome = Failed(kind="internal", message="the container's folders are nested too deep")
    except Exception as error:
        complain_of_defect()
        outcome = Failed(kind="internal", message=f"a defect of Cellcrate: {error!r}")
    answers.end_stream()
    with contextlib.suppress(OSError):  # nobody listens any more
        answers.send(outcome)


def _kind(error: OSError) -> FailureKind:
    match error.errno:
        case errno.ENOENT:
            return "not_found"
        case errno.ENOTDIR:
            return "not_a_directory"
        case errno.EROFS:
            return "read_only"
        case errno.EACCES | errno.EPERM:
            return "permission"
        case _:
            return "internal"


def _words(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason
