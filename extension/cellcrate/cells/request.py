"""From a magic's line and its cell to a request that creates a container."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from cellcrate.cells.ownership import LABEL, owner
from cellcrate.cells.script import Script, script
from cellcrate.errors import UsageError
from cellcrate.options import Group, Parsed
from cellcrate.options.option import Body

__all__ = ["BASE_IMAGE", "Request", "cell_request", "default_image", "run_request"]

#: The image that Cellcrate packs out of programs of this machine.
BASE_IMAGE = "cellcrate/base"

#: A notebook shows no terminal of a known size; this is what fits a cell, as (rows, columns).
TERMINAL = (24, 100)


@dataclass(slots=True)
class Request:
    """A container to be made, and how it is to be run.

    Attributes:
        body: The body of ContainerCreate.
        image: The image's name.
        name: The container's name; "" lets the engine choose.
        detach: Whether it runs in the background.
        remove: Whether it is removed when it has ended.
        replace: Whether a container of that name gives way to it.
        pull: When the image is fetched: missing, always or never.
        quiet: Whether the fetching of an image is left unshown.
        platform: The platform, where the image has several.
        stdin: What the command reads from its standard input, or None.
        file: A script that has to lie in the container, or None.
        raise_error: Whether an exit status other than 0 is an error.
        trace: Whether what was done to start it is shown below the cell.
    """

    image: str
    body: Body = field(default_factory=dict)
    name: str = ""
    detach: bool = False
    remove: bool = True
    replace: bool = False
    pull: str = "missing"
    quiet: bool = False
    platform: str | None = None
    stdin: bytes | None = None
    file: bytes | None = None
    raise_error: bool = True
    trace: bool = False

    @property
    def tty(self) -> bool:
        """Whether the command has a terminal."""
        return bool(self.body.get("Tty"))

    @property
    def memory_limit(self) -> int:
        """The limit on memory in bytes, 0 for none."""
        return int(self.body.get("HostConfig", {}).get("Memory", 0))

    @property
    def stop_timeout(self) -> int | None:
        """The time to stop that was asked for, in seconds."""
        timeout: int | None = self.body.get("StopTimeout")
        return timeout

    def tie_to_this_process(self) -> None:
        """Let the engine remove the container when this process is gone."""
        self.body.setdefault("Labels", {})[LABEL] = owner()


def default_image() -> str:
    """Return the image of a cell that names none."""
    return os.environ.get("CELLCRATE_IMAGE") or BASE_IMAGE


def cell_request(parsed: Parsed, cell: str, groups: tuple[Group, ...]) -> Request:
    """Return the request of ``%%container``.

    The first word is the image and the others are the command, as for ``docker run``. Without a
    command the cell is a script; with one, or with --entrypoint, it is the standard input. A cell
    of white space alone runs the image's own command.

    Raises:
        UsageError: Options contradict each other.
    """
    words = list(parsed.words)
    image = parsed.get("image") or (words.pop(0) if words else default_image())
    if parsed.on("python") and "interpreter" in parsed:
        raise UsageError("--python is short for --interpreter python3: give one of them.")
    interpreter = "python3" if parsed.on("python") else parsed.get("interpreter", "")
    is_input = bool(words) or "entrypoint" in parsed
    if is_input and interpreter:
        raise UsageError(
            "With a command in the line, the cell is its standard input, and no interpreter "
            "runs it. Leave out the command, or the interpreter."
        )
    request = _request(parsed, image, groups)
    if is_input:
        _use_command(request, parsed, words)
        if cell.strip():
            _use_input(request, cell)
    elif cell.strip():
        _use_script(request, script(cell, interpreter))
    return request


def run_request(parsed: Parsed, groups: tuple[Group, ...]) -> Request:
    """Return the request of ``%container run``, which has no cell.

    Raises:
        UsageError: No image is named, or options contradict each other.
    """
    if not parsed.words:
        raise UsageError("%container run needs an image: %container run -d nginx.")
    image, *words = parsed.words
    request = _request(parsed, image, groups)
    _use_command(request, parsed, words)
    return request


def _request(parsed: Parsed, image: str, groups: tuple[Group, ...]) -> Request:
    detach = parsed.on("detach")
    _check(parsed, detach)
    request = Request(
        image=image,
        name=parsed.get("name", ""),
        detach=detach,
        remove=_remove(parsed, detach),
        replace=parsed.on("replace"),
        pull=parsed.get("pull", "missing"),
        quiet=parsed.on("quiet"),
        platform=parsed.get("platform"),
        raise_error=not parsed.on("no_raise_error"),
        trace=parsed.on("trace"),
    )
    body = request.body
    for option in (option for group in groups for option in group.options):
        if option.put is not None and option.key in parsed:
            option.put(body, parsed.get(option.key))
    body["Image"] = image
    _use_streams(request, interactive=parsed.on("interactive"))
    return request


def _check(parsed: Parsed, detach: bool) -> None:
    restart: dict[str, Any] = parsed.get("restart", {})
    restarts = restart.get("Name", "no") != "no"
    if restarts and not detach:
        raise UsageError(
            "--restart needs --detach: a cell ends when its container does, and a restart would "
            "have nowhere to show its output."
        )
    if restarts and parsed.on("rm"):
        raise UsageError("--restart and --rm contradict each other: leave one of them out.")
    if parsed.on("replace") and not parsed.get("name"):
        raise UsageError("--replace needs --name, to know which container gives way.")
    if detach and parsed.on("no_raise_error"):
        raise UsageError("--no-raise-error is for cells that wait; --detach does not.")


def _remove(parsed: Parsed, detach: bool) -> bool:
    if "rm" in parsed and parsed.on("no_rm"):
        raise UsageError("--rm and --no-rm contradict each other: leave one of them out.")
    if parsed.on("no_rm"):
        return False
    return bool(parsed.get("rm", not detach))


def _use_streams(request: Request, *, interactive: bool) -> None:
    body = request.body
    body["AttachStdout"] = body["AttachStderr"] = not request.detach
    if interactive and request.detach:
        body["OpenStdin"] = True
    elif interactive:
        # Nobody can type into a cell: what reads finds the end at once, in place of waiting.
        _use_input(request, "")
    if request.detach and request.remove:
        body.setdefault("HostConfig", {})["AutoRemove"] = True
    if request.tty:
        body.setdefault("HostConfig", {})["ConsoleSize"] = list(TERMINAL)
    body["Env"] = _environment(request)


def _environment(request: Request) -> list[str]:
    """Return the variables, each once: the last one that was given counts.

    A cell shows a terminal's colours also where the command has no terminal, and programs that are
    asked for colour (``ls --color=always``) look at TERM before they give it.
    """
    own = [] if request.detach and not request.tty else ["TERM=xterm-256color"]
    if request.tty:
        own.append(f"COLUMNS={TERMINAL[1]}")
    entries = [*own, *request.body.get("Env", [])]
    return list({entry.partition("=")[0]: entry for entry in entries}.values())


def _use_command(request: Request, parsed: Parsed, words: list[str]) -> None:
    if "entrypoint" in parsed:
        request.body["Entrypoint"] = [parsed.get("entrypoint")]
    if words:
        request.body["Cmd"] = words


def _use_input(request: Request, cell: str) -> None:
    if request.detach:
        raise UsageError(
            "With a command in the line the cell is its standard input, and --detach leaves "
            "nobody to type it. Leave out the command, so that the cell is a script."
        )
    request.body.update(OpenStdin=True, StdinOnce=True, AttachStdin=True)
    request.stdin = cell.encode()


def _use_script(request: Request, script: Script) -> None:
    # An entry point of the image would get the interpreter as an argument; the cell is the program.
    request.body["Entrypoint"] = script.command[:1]
    request.body["Cmd"] = script.command[1:]
    request.file = script.file
    if script.file is not None and request.body.get("HostConfig", {}).get("ReadonlyRootfs"):
        raise UsageError(
            "This script has to be a file in the container, and --read-only lets none be written. "
            "Use sh or python3 and less than 128 KiB of text, or leave out --read-only."
        )
