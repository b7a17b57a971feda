"""The arguments of a system call, as strace(1) writes them down."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = [
    "Call",
    "at",
    "descriptor",
    "flags",
    "member",
    "number",
    "product",
    "string",
    "strings",
]

_OPENING, _CLOSING = "([{", ")]}"
_DESCRIPTOR = re.compile(r"(AT_FDCWD|\d+)(?:<(.*)>)?$", re.DOTALL)


@dataclass(frozen=True)
class Call:
    """One system call that succeeded.

    Attributes:
        pid: The thread.
        name: The call.
        text: Its arguments, as they were written.
        result: What the kernel returned.
        path: What a descriptor that it returned is open on.
        moment: When it was done, in seconds since 1970.
    """

    pid: int
    name: str
    text: str
    result: int
    path: str
    moment: float

    @property
    def arguments(self) -> list[str]:
        """Each argument."""
        return list(_split(self.text))


def _split(text: str) -> Iterator[str]:
    """Split at the commas that are in no string, structure or path of a descriptor."""
    depth, start, place = 0, 0, 0
    while place < len(text):
        character = text[place]
        if character == '"':
            place = _end_of_string(text, place)
        elif character == "<" and text[place - 1 : place].isalnum():
            place = text.find(">", place) if ">" in text[place:] else place
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
        elif character == "," and not depth:
            yield text[start:place].strip()
            start = place + 1
        place += 1
    if last := text[start:].strip():
        yield last


def _end_of_string(text: str, place: int) -> int:
    place += 1
    while place < len(text) and text[place] != '"':
        place += 2 if text[place] == "\\" else 1
    return place


def string(argument: str) -> str:
    """The text of a string; empty for NULL and for an address that was not looked at."""
    if not argument.startswith('"'):
        return ""
    end = _end_of_string(argument, 0)
    try:
        text: bytes = ast.literal_eval(f"b{argument[: end + 1]}")
    except (SyntaxError, ValueError):
        return argument
    return text.decode(errors="replace") + ("…" if argument[end + 1 :].startswith("...") else "")


def strings(argument: str) -> list[str]:
    """Each string of an array."""
    return [string(each) for each in _split(argument[1:-1])]


def number(word: str) -> int:
    """A number, in any of C's ways; 0 for what is none."""
    try:
        return int(word, 8 if re.match(r"0[0-7]", word) else 0)
    except ValueError:
        return 0


def flags(argument: str, known: object) -> int:
    """Flags by their names, which are those of a module's constants."""
    value = 0
    for word in argument.split("|"):
        value |= getattr(known, word.strip(), None) or number(word.strip())
    return value


def descriptor(argument: str) -> tuple[int, str]:
    """A descriptor's number, and the path that it is open on."""
    found = _DESCRIPTOR.match(argument)
    if found is None:
        return -1, ""
    return (-1 if found[1] == "AT_FDCWD" else int(found[1])), found[2] or ""


def at(folder: str, name: str) -> str:
    """A path that starts at a folder's descriptor."""
    return os.path.join(descriptor(folder)[1], string(name)) if string(name) else ""


def product(text: str) -> int:
    """A number, which strace writes as ``8192*1024`` where it is one of kibibytes."""
    result = 1
    for factor in text.split("*"):
        result *= number(factor)
    return result


def member(structure: str, name: str) -> str:
    """The text of a member of a structure; empty if it has none of the name."""
    found = re.search(rf"\b{name}=([^,}}]+)", structure)
    return found[1] if found is not None else ""
