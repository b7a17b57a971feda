"""Where each instruction of a Dockerfile stands, so that a step can be shown beside its line.

The engine reads the Dockerfile; this knows only where instructions end: at the end of their line,
but for a line that ends in the escape character, and for here-documents (docker's Dockerfile
reference, "Format", "escape" and "Here-Documents").
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Instruction", "instructions"]

_ESCAPE = re.compile(r"^#\s*escape\s*=\s*(\S)\s*$", re.IGNORECASE)
_DIRECTIVE = re.compile(r"^#\s*[a-z]+\s*=", re.IGNORECASE)
_HEREDOC = re.compile(r"(?<!<)<<(-?)(?:\"(\w+)\"|'(\w+)'|(\w+))")
_WITH_HEREDOCS = ("RUN", "COPY", "ADD")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    Attributes:
        first: The number of its first line, from 1.
        last: The number of its last line.
        text: Its lines.
    """

    first: int
    last: int
    text: str


def instructions(dockerfile: str) -> list[Instruction]:
    """Return the instructions of a Dockerfile, in their order."""
    lines = dockerfile.splitlines()
    escape = _escape(lines)
    found: list[Instruction] = []
    position = 0
    while position < len(lines):
        line = lines[position].strip()
        if not line or line.startswith("#"):
            position += 1
            continue
        end = _end(lines, position, escape)
        text = "\n".join(lines[position:end])
        found.append(Instruction(position + 1, end, text))
        position = end
    return found


def _escape(lines: list[str]) -> str:
    for line in lines:
        match = _ESCAPE.match(line.strip())
        if match:
            return match[1]
        if not _DIRECTIVE.match(line.strip()):
            break
    return "\\"


def _end(lines: list[str], start: int, escape: str) -> int:
    """Return where the next instruction may begin."""
    end = start
    while end < len(lines):
        line = lines[end].strip()
        is_comment = end > start and (not line or line.startswith("#"))
        end += 1
        if not is_comment and not line.endswith(escape):
            break
    head = "\n".join(lines[start:end])
    words = head.split()
    name = words[1 if words[0].upper() == "ONBUILD" and len(words) > 1 else 0].upper()
    if name in _WITH_HEREDOCS:
        for strip, *names in _HEREDOC.findall(head):
            end = _after(lines, end, next(filter(None, names)), bool(strip))
    return end


def _after(lines: list[str], position: int, name: str, strip: bool) -> int:
    """Return the line after a here-document's last one."""
    while position < len(lines):
        line = lines[position].lstrip("\t") if strip else lines[position]
        position += 1
        if line == name:
            break
    return position
