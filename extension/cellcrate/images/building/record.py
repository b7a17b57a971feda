"""What an engine says while it builds, as steps.

The stream is that of docker's classic builder (Docker Engine API, "ImageBuild"; the sentences are
moby's, builder/dockerfile/evaluator.go, dispatchers.go and internals.go): "Step 2/5 : RUN make",
" ---> Using cache", " ---> Running in 3f1c…", output, "Successfully built 8b2e…".
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cellcrate.images.building.instructions import Instruction, instructions
from cellcrate.images.contents.model import readable
from cellcrate.images.progress import Transfers
from cellcrate.widgets.card import plain_lines

__all__ = ["LINES", "BuildRecord", "Step"]

#: How many lines of a step's output are kept: the last ones, which say what went wrong.
LINES = 200
#: How many letters of a line.
LETTERS = 2000

_STEP = re.compile(r"^Step (\d+)/(\d+) : ")
_RUNNING = re.compile(r"^ ---> Running in ([0-9a-f]+)$")
_RESULT = re.compile(r"^ ---> (?:[0-9a-f]{12,64})?$")
_REMOVED = re.compile(r"^(?:Removing|Removed) intermediate container [0-9a-f]+$")
_BUILT = re.compile(r"^Successfully built ([0-9a-f]+)$")
_CODE = re.compile(r"returned a non-zero code: (\d+)|exit(?:ed with)? (?:code|status):? (\d+)")
_LINE = re.compile(r"line (\d+)", re.IGNORECASE)
CACHED = " ---> Using cache"


@dataclass(slots=True)
class Step:
    """One step of a build.

    Attributes:
        number: Its number, from 1.
        total: How many there are.
        text: The instruction, as the engine writes it.
        place: Where it stands in the Dockerfile, if that is known.
        state: running, done, cached, failed or interrupted.
        output: The last lines that it wrote.
        written: How many lines it wrote.
        container: The container in which it ran.
        pull: The image that it fetched, if it did.
        seconds: How long it took, or has taken so far.
    """

    number: int
    total: int
    text: str
    place: Instruction | None = None
    state: str = "running"
    output: deque[str] = field(default_factory=lambda: deque(maxlen=LINES))
    written: int = 0
    container: str = ""
    pull: Transfers | None = None
    seconds: float = 0.0
    _rest: str = ""

    def write(self, text: str) -> None:
        """Take in output, which may end in the middle of a line."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._add(line)
        # A line without an end is not collected for ever.
        if len(self._rest) > 2 * LETTERS:
            self._rest = self._rest[-LETTERS:]

    def finish(self) -> None:
        """Take the last line as it is."""
        rest, self._rest = self._rest, ""
        # Engines end what is red after its last line; nothing to read is left then.
        if plain_lines([rest])[0].strip():
            self._add(rest)

    def _add(self, line: str) -> None:
        # What was written over with a carriage return was never meant to stay.
        last = line.rstrip("\r").rpartition("\r")[2]
        text = plain_lines([last])[0][:LETTERS]
        if text or self.output:
            self.output.append(text)
            self.written += 1


class BuildRecord:
    """One build, as far as it has come.

    Attributes:
        name: What the image is to be called.
        steps: The steps that have begun.
        image: The id of the finished image; "" before.
        failure: Why it failed; "" where it did not.
        code: The exit status of the command that failed; 0 where none did.
        state: running, done, failed or interrupted.
        remarks: What the engine said outside of steps: warnings, above all.
    """

    def __init__(
        self, name: str, dockerfile: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.steps: list[Step] = []
        self.image = ""
        self.failure = ""
        self.code = 0
        self.state = "running"
        self.remarks: list[str] = []
        self.containers: list[str] = []
        self.dockerfile = dockerfile
        self._places = instructions(dockerfile)
        self._clock = clock
        self._began = self._step_began = clock()
        self._ended: float | None = None

    @property
    def step(self) -> Step | None:
        """The step that runs, or ran last."""
        return self.steps[-1] if self.steps else None

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.state != "running"

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        return (self._clock() if self._ended is None else self._ended) - self._began

    @property
    def cached(self) -> int:
        """How many steps were done before."""
        return sum(step.state == "cached" for step in self.steps)

    @property
    def line(self) -> int:
        """The line of the Dockerfile that the failure is about; 0 where none is known."""
        if self.step is not None and self.step.place is not None:
            return self.step.place.first
        # A Dockerfile that cannot be read fails before the first step.
        match = None if self.step else _LINE.search(self.failure)
        return int(match[1]) if match else 0

    def take(self, message: dict[str, Any]) -> None:
        """Take in a message of the stream."""
        if "error" in message or "errorDetail" in message:
            detail = message.get("errorDetail") or {}
            self.fail(
                str(message.get("error") or detail.get("message") or "no reason given"),
                int(detail.get("code") or 0),
            )
        elif "stream" in message:
            self._hear(str(message["stream"]))
        elif "status" in message:
            self._fetch(message)
        elif isinstance(message.get("aux"), dict):
            # Without a step, an engine that is quiet says the id here alone.
            self.image = str(message["aux"].get("ID") or self.image)
        if self.step is not None and self.step.state == "running":
            self.step.seconds = self._clock() - self._step_began

    def _hear(self, text: str) -> None:
        line = text.rstrip("\n")
        step, match = self.step, _STEP.match(line)
        if match:
            self._begin(int(match[1]), int(match[2]), line[match.end() :])
        elif _BUILT.match(line):
            self.image = self.image or line.split()[-1]
            self._settle("done")
        elif line.startswith("Successfully tagged ") or _REMOVED.match(line):
            return
        elif step is None or step.state not in ("running", "cached"):
            if line.strip():
                self.remarks.append(plain_lines([line])[0])
        elif line == CACHED:
            step.state = "cached"
        elif running := _RUNNING.match(line):
            step.container = running[1]
            self.containers.append(running[1])
        elif not _RESULT.match(line):
            step.write(text)

    def _begin(self, number: int, total: int, text: str) -> None:
        self._settle("done")
        place = self._places[number - 1] if 0 < number <= len(self._places) else None
        self.steps.append(Step(number, total, readable(text), place))
        self._step_began = self._clock()

    def _fetch(self, message: dict[str, Any]) -> None:
        if self.step is None:
            return
        if self.step.pull is None:
            words = self.step.text.split()
            name = next((word for word in words[1:] if not word.startswith("--")), "")
            self.step.pull = Transfers(name, clock=self._clock)
        self.step.pull.take(message)

    def _settle(self, state: str) -> None:
        """The step that ran is over."""
        step = self.step
        if step is None or step.state not in ("running", "cached"):
            return
        step.finish()
        if step.pull is not None:
            step.pull.end()
        if step.state == "running":
            step.state = state
            step.seconds = self._clock() - self._step_began

    def fail(self, reason: str, code: int = 0) -> None:
        """The build has failed."""
        match = _CODE.search(reason)
        self.failure = reason
        self.code = code or int(next(filter(None, match.groups())) if match else 0)
        self._end("failed")

    def interrupt(self) -> None:
        """The stop button was pressed."""
        self._end("interrupted")

    def end(self) -> None:
        """Nothing more will come: without an image, that is a failure."""
        if self.over:
            return
        if self.image:
            self._end("done")
        else:
            self.fail("The engine broke the build off without a reason.")

    def _end(self, state: str) -> None:
        self._settle(state)
        self.state = state
        self._ended = self._clock()
