"""Watch another runtime make a container, from its ``create`` to the program's first moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from cellcrate_runtime.engine.tracing import system_calls
from cellcrate_runtime.engine.tracing.strace import Strace, StraceMissingError
from cellcrate_runtime.linux.recording import Recorder
from cellcrate_runtime.oci.errors import OCIError

__all__ = ["Watch"]

_HINT = (
    ". strace saw nothing of it; it may not be allowed to watch programs here (ptrace(2), "
    "/proc/sys/kernel/yama/ptrace_scope). Create the container without a trace"
)
_NOT_SEEN = "strace did not see the container's program being executed."


class Watch:
    """What strace sees of one start, for the notes of the start.

    Args:
        recorder: Gets what was seen.
        name: What the runtime is called there.

    Raises:
        OCIError: strace is not installed.
    """

    def __init__(self, recorder: Recorder, name: str) -> None:
        try:
            self._strace: Strace | None = Strace()
        except StraceMissingError as error:
            raise OCIError(str(error)) from error
        self._recorder = recorder
        self._name = name
        self._pid = 0
        self._places: Mapping[str, str] = {}

    @property
    def command(self) -> list[str]:
        """What the runtime is executed under."""
        return self._strace.command if self._strace is not None else []

    @contextmanager
    def of_creation(self, places: Mapping[str, str]) -> Iterator[None]:
        """While the runtime creates the container; if that fails, what was seen is kept.

        Args:
            places: What folders show, as the runtime sees them.
        """
        self._places = places
        try:
            yield
        except BaseException as error:
            saw_nothing = self._strace is not None and not self._strace.output()
            self._finish()
            if saw_nothing and isinstance(error, OCIError):
                raise OCIError(f"{error.message}{_HINT}") from error
            raise

    def created(self, pid: int) -> None:
        """Take note of the container's first process, which waits to be started."""
        self._pid = pid
        if self._strace is not None:
            self._strace.found(pid)

    @contextmanager
    def of_start(self) -> Iterator[None]:
        """While the runtime starts the program; afterwards nobody is watched any more."""
        try:
            yield
            if self._strace is not None and not self._strace.until_executed(self._pid):
                self._recorder.remarks.append(_NOT_SEEN)
        finally:
            self._finish()

    def _finish(self) -> None:
        strace, self._strace = self._strace, None
        if strace is None:
            return
        output = strace.output()
        offset = strace.offset
        strace.end()
        seen = system_calls.records(output, by=self._name, offset=offset, places=self._places)
        self._recorder.add(seen)
