"""How a cell's text becomes the command of a container.

The text travels as an argument (``sh -c TEXT``), so that standard input stays free, a restarted
container runs it again, and ``%container inspect`` shows it. The kernel takes at most 128 KiB for
one argument (execve(2), MAX_ARG_STRLEN), and an interpreter that Cellcrate does not know may have
no such option: then the text is put into the container as a file, before the start.
"""

from __future__ import annotations

import io
import re
import shlex
import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath

from cellcrate.errors import UsageError

__all__ = ["SCRIPT_PATH", "Script", "archive", "script"]

#: One argument, its final zero byte included; 32 pages of 4 KiB.
LONGEST_ARGUMENT = 128 * 1024

#: Where a script lies that has to be a file.
SCRIPT_PATH = "/.cell"

# The option that takes a program's text, for each family of interpreters.
_TEXT_OPTIONS = (
    (re.compile(r"^(?:ba|da|a|z|k|mk|fi)?sh$"), "-c"),
    (re.compile(r"^(?:python|pypy)[0-9.]*$"), "-c"),
    (re.compile(r"^(?:perl|ruby|node|lua)[0-9.]*$"), "-e"),
    (re.compile(r"^php[0-9.]*$"), "-r"),
)


@dataclass(frozen=True, slots=True)
class Script:
    """A command that runs a cell's text.

    Attributes:
        command: The program and its arguments.
        file: What has to lie at SCRIPT_PATH, or None.
    """

    command: list[str]
    file: bytes | None = None


def script(text: str, interpreter: str = "") -> Script:
    """Return the command that runs a cell's text.

    Args:
        text: The cell.
        interpreter: The program, with options if need be. Default: what the cell's first line
            names after ``#!``, or ``sh``.

    Raises:
        UsageError: The text holds a zero byte, or the interpreter cannot be split into words.
    """
    if "\0" in text:
        raise UsageError("The cell holds a zero byte, which no program's text may.")
    words = _words(interpreter) or _shebang(text) or ["sh"]
    option = _text_option(words)
    if option and len(text.encode()) < LONGEST_ARGUMENT:
        return Script([*words, option, text])
    return Script([*words, SCRIPT_PATH], text.encode())


def _words(interpreter: str) -> list[str]:
    try:
        return shlex.split(interpreter)
    except ValueError as error:
        raise UsageError(f"--interpreter: {interpreter!r}: {error}.") from None


def _shebang(text: str) -> list[str]:
    # execve(2): what follows the interpreter is one argument; env -S splits it (env(1)).
    if not text.startswith("#!"):
        return []
    line = text.splitlines()[0][2:].strip()
    program, _, argument = line.partition(" ")
    if not program:
        return []
    argument = argument.strip()
    if PurePosixPath(program).name == "env" and argument.startswith("-S"):
        return [program, *shlex.split(argument.removeprefix("-S"))]
    return [program, argument] if argument else [program]


def _text_option(words: list[str]) -> str:
    program = PurePosixPath(words[0]).name
    rest = words[1:]
    if program == "env" and rest:
        program, rest = PurePosixPath(rest[0]).name, rest[1:]
    if any(not word.startswith("-") for word in rest):
        return ""
    return next((option for names, option in _TEXT_OPTIONS if names.match(program)), "")


def archive(content: bytes) -> bytes:
    """Return a tar archive, for the root folder, that holds a script at SCRIPT_PATH."""
    buffer = io.BytesIO()
    entry = tarfile.TarInfo(SCRIPT_PATH.lstrip("/"))
    entry.size = len(content)
    entry.mode = 0o755
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
