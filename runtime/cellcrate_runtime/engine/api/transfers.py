"""Images that move while a client watches: work in a thread, told in Docker's documents.

Source: moby/moby, ``pkg/jsonmessage`` and ``pkg/streamformatter``, for the documents.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, TypeVar

import msgspec

from cellcrate_runtime.engine.api.app import Handler
from cellcrate_runtime.engine.api.errors import answer_for
from cellcrate_runtime.images.registry.credentials import Credential, read_auth_header
from cellcrate_runtime.images.registry.progress import Cancellation, Report, Step
from cellcrate_runtime.images.registry.settings import RegistrySettings

__all__ = [
    "Transfer",
    "credential_of",
    "encoded",
    "failure",
    "once",
    "settings_of",
    "step_document",
]

_T = TypeVar("_T")
_BAR = 50  # letters
_UNITS = ("B", "kB", "MB", "GB", "TB")


class Transfer(Generic[_T]):
    """Work with a registry, in a thread of its own: it takes as long as networks like.

    Args:
        work: Is given whom to tell of its steps; cancelled if nobody waits any more.
    """

    def __init__(self, cancellation: Cancellation, work: Callable[[Report], _T]) -> None:
        self._cancellation = cancellation
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._said: asyncio.Queue[Step | None] = asyncio.Queue()
        self._result: _T | None = None
        self._error: Exception | None = None

    async def steps(self) -> AsyncIterator[Step]:
        """Begin, and yield each step; then the work is done.

        Raises:
            What the work failed with.
        """
        threading.Thread(target=self._run, daemon=True, name="registry").start()
        try:
            while (step := await self._said.get()) is not None:
                yield step
        except BaseException:  # nobody waits any more
            self._cancellation.cancel()
            raise
        if self._error is not None:
            raise self._error

    async def result(self) -> _T:
        """Do the work, and return what it returned.

        Raises:
            What the work failed with.
        """
        async for _ in self.steps():
            pass
        return self._result  # type: ignore[return-value]

    def _run(self) -> None:
        try:
            self._result = self._work(self._say)
        except Exception as error:
            self._error = error
        self._say(None)

    def _say(self, step: Step | None) -> None:
        # The loop is closed when the engine has left meanwhile.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._said.put_nowait, step)


async def once(cancellation: Cancellation, work: Callable[[], _T]) -> _T:
    """Do work that tells nothing.

    Raises:
        What the work failed with.
    """
    return await Transfer(cancellation, lambda _: work()).result()


def settings_of(handler: Handler) -> RegistrySettings:
    """What ``daemon.json`` says of registries now.

    Raises:
        RegistryError: It cannot be understood.
    """
    return RegistrySettings.read(handler.engine.paths.data / "daemon.json")


def credential_of(handler: Handler) -> Credential:
    """Who the client is to the registry, as it says in ``X-Registry-Auth``.

    Raises:
        RegistryError: That cannot be read.
    """
    return read_auth_header(handler.request.headers.get("X-Registry-Auth", ""))


async def encoded(
    steps: AsyncIterator[Step], succeeded: Callable[[], object]
) -> AsyncIterator[bytes]:
    """The documents of a stream, a line each; a failure is the last one.

    Args:
        succeeded: Called when all went well, before the client can know.
    """
    try:
        async for step in steps:
            yield _line(step_document(step))
        succeeded()
    except Exception as error:
        yield _line(failure(error))


def failure(error: Exception) -> dict[str, Any]:
    """A failure as a document of a stream that has begun."""
    _, message = answer_for(error)
    return {"errorDetail": {"message": message}, "error": message}


def step_document(step: Step) -> dict[str, Any]:
    """A step as Docker tells it."""
    if step.aux is not None:
        return {"progressDetail": {}, "aux": step.aux}
    if step.current is None:
        document: dict[str, Any] = {"status": step.status}
        if step.id and not step.status.startswith("Pulling from"):
            document["progressDetail"] = {}
    else:
        document = {
            "status": step.status,
            "progressDetail": {"current": step.current, "total": step.total or 0},
            "progress": _bar(step.current, step.total or 0),
        }
    return {**document, "id": step.id} if step.id else document


def _bar(current: int, total: int) -> str:
    """What clients print that do not draw a bar themselves."""
    if total <= 0:
        return _size(current)
    done = min(_BAR, current * _BAR // total)
    head = ">" if done < _BAR else ""
    bar = ("=" * done + head).ljust(_BAR)[:_BAR]
    return f"[{bar}]  {_size(current)}/{_size(total)}"


def _size(number: float) -> str:
    for unit in _UNITS[:-1]:
        if number < 1000:
            return f"{number:.4g}{unit}"
        number /= 1000
    return f"{number:.4g}{_UNITS[-1]}"


def _line(document: dict[str, Any]) -> bytes:
    return msgspec.json.encode(document) + b"\n"
