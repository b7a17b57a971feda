"""A notebook for tests: cells run in a real IPython kernel, and what comes back is kept."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 60

#: What would lead a kernel elsewhere. requests prefers its bundle to the authority that docker-py
#: names (psf/requests, merge_environment_settings).
FOREIGN = ("DOCKER_HOST", "CELLCRATE_HOST", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Cell:
    """What a cell gave back."""

    status: str = ""
    stdout: str = ""
    stderr: str = ""
    error_name: str = ""
    error: str = ""
    traceback: list[str] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    displays: list[dict[str, Any]] = field(default_factory=list)
    comms: list[dict[str, Any]] = field(default_factory=list)
    _clear_next: bool = False

    def take(self, message: dict[str, Any]) -> None:
        """Take in a message, as a front end would."""
        kind, content = message["msg_type"], message["content"]
        if kind == "clear_output":
            self._clear_next = True
        if self._clear_next and not (kind == "clear_output" and content["wait"]):
            self.stdout = self.stderr = ""
            self.displays.clear()
            self._clear_next = False
        if kind == "stream" and content["name"] == "stdout":
            self.stdout += content["text"]
        elif kind == "stream":
            self.stderr += content["text"]
        elif kind == "error":
            self.error_name, self.error = content["ename"], content["evalue"]
            self.traceback = [_COLOUR.sub("", line) for line in content["traceback"]]
        elif kind == "execute_result":
            self.results.append(content["data"])
        elif kind in ("display_data", "update_display_data"):
            self.displays.append(content["data"])
        elif kind.startswith("comm_"):
            self.comms.append(message)

    @property
    def text(self) -> str:
        """The text form of the cell's result."""
        return self.results[0]["text/plain"] if self.results else ""


class Notebook:
    """A kernel and a client, in an event loop of their own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        for name in ("ipython", "runtime"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        path = os.pathsep.join([str(ROOT / "extension"), str(ROOT / "runtime")])
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in FOREIGN},
            "PYTHONPATH": path,
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            **environment,
        }
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="notebook")
        self._thread.start()
        try:
            self._do(self._open(folder))
        except BaseException:
            self._end_loop()
            raise

    async def _open(self, folder: Path) -> None:
        self.manager = AsyncKernelManager(
            kernel_name="python3",
            transport="ipc",
            ip=str(folder / "k"),
            connection_file=str(folder / "runtime" / "kernel.json"),
        )
        await self.manager.start_kernel(env=self.environment, cwd=str(folder))
        self.client: AsyncKernelClient = self.manager.client()
        self.client.start_channels()
        await self.client.wait_for_ready(timeout=TIMEOUT)

    def _do(self, work: Coroutine[Any, Any, Any], timeout: float = TIMEOUT) -> Any:
        return self.submit(work).result(timeout)

    def submit(self, work: Coroutine[Any, Any, Any]) -> concurrent.futures.Future[Any]:
        """Have the notebook's loop do something."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    @property
    def pid(self) -> int:
        """The kernel's process id."""
        return int(self.manager.provisioner.process.pid)

    def start(self, code: str, watch: Callable[[dict[str, Any]], None] | None = None) -> Running:
        """Run a cell in the background."""
        return Running(self, code, watch)

    def run(self, code: str, timeout: float = TIMEOUT) -> Cell:
        """Run a cell to its end, whatever that is."""
        return self.start(code).wait(timeout)

    def complete(self, code: str) -> list[str]:
        """Return the texts that a completion at the end of the code leads to."""
        reply = self._do(self.client.complete(code, reply=True, timeout=TIMEOUT))["content"]
        start = reply["cursor_start"]
        return [code[:start] + match for match in reply["matches"]]

    def documentation(self, code: str) -> str:
        """Return what ``code?`` shows."""
        reply = self._do(self.client.execute(f"{code}?", reply=True, timeout=TIMEOUT))
        return str(reply["content"]["payload"][0]["data"]["text/plain"])

    def interrupt(self) -> None:
        """Press the stop button."""
        self._do(self.manager.interrupt_kernel())

    def close(self) -> None:
        """End the kernel; a second time nothing happens."""
        if self._loop.is_closed():
            return
        try:
            self._do(self._close())
        finally:
            self._end_loop()

    async def _close(self) -> None:
        self.client.stop_channels()
        await self.manager.shutdown_kernel(now=True)
        self.manager.context.destroy(linger=0)

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Running:
    """A cell that runs."""

    def __init__(
        self, notebook: Notebook, code: str, watch: Callable[[dict[str, Any]], None] | None
    ) -> None:
        self.cell = Cell()
        self._watch = watch
        self._reply = notebook.submit(
            notebook.client.execute_interactive(
                code, output_hook=self._take, timeout=None, allow_stdin=False
            )
        )

    def _take(self, message: dict[str, Any]) -> None:
        self.cell.take(message)
        if self._watch is not None:
            self._watch(message)

    def until(self, text: str, timeout: float = TIMEOUT) -> None:
        """Wait until the cell has written a text."""
        deadline = time.monotonic() + timeout
        while text not in self.cell.stdout:
            assert self.running, f"it ended without {text!r}: {self.cell}"
            assert time.monotonic() < deadline, f"no {text!r} in {self.cell}"
            time.sleep(0.01)

    @property
    def running(self) -> bool:
        """Whether the cell has not ended."""
        return not self._reply.done()

    def abandon(self) -> None:
        """Expect no end of the cell: its kernel was killed."""
        self._reply.cancel()
        with contextlib.suppress(concurrent.futures.CancelledError):
            self._reply.result(TIMEOUT)

    def wait(self, timeout: float = TIMEOUT) -> Cell:
        """Wait for the cell's end."""
        self.cell.status = self._reply.result(timeout)["content"]["status"]
        return self.cell
