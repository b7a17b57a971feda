"""The lines of a Dockerfile become statements: a keyword, its flags and the rest.

Directives (``# escape=``) come first, comments and blank lines go, continued lines are joined, and
heredocs are collected. Source: the reference of the Dockerfile format, "Format", "Parser
directives" and "Here-Documents".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace

from cellcrate_runtime.images.dockerfile.errors import DockerfileError
from cellcrate_runtime.images.dockerfile.heredocs import Heredoc, find_heredocs

__all__ = ["Source", "Statement", "read_source", "split_statement"]

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*")
_DIRECTIVES = frozenset({"syntax", "escape", "check"})
_COMMENT = re.compile(r"\s*#")
# Instructions of which heredocs can be a part; ONBUILD where one of the others follows it.
_WITH_HEREDOCS = frozenset({"ADD", "COPY", "RUN"})
_MARK = "\ufeff"  # some editors begin a file with it
LARGEST_SOURCE = 2 << 20  # characters; nobody writes more, and a whole disk image is no Dockerfile


@dataclass(frozen=True, slots=True)
class Statement:
    """One instruction, not yet understood.

    Attributes:
        line: The line where it begins, from 1.
        keyword: Its first word in capitals.
        flags: The words after it that begin with ``--``.
        rest: What follows them.
        text: All of it, with continued lines joined.
        heredocs: The heredocs that it begins.
    """

    line: int
    keyword: str
    flags: tuple[str, ...]
    rest: str
    text: str
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(slots=True)
class Source:
    """A whole Dockerfile as statements.

    Attributes:
        statements: In their order.
        escape: The escape character.
        syntax: The image that ``# syntax=`` names, which is not used here; empty without one.
        warnings: What works but should be written otherwise.
    """

    statements: list[Statement] = field(default_factory=list)
    escape: str = "\\"
    syntax: str = ""
    warnings: list[str] = field(default_factory=list)


def read_source(text: str) -> Source:
    """Split a Dockerfile into statements.

    Raises:
        DockerfileError: A directive is wrong, a heredoc has no end, or there is no instruction.
    """
    if len(text) > LARGEST_SOURCE:
        raise DockerfileError(
            f"the Dockerfile has {len(text)} characters, and may have {LARGEST_SOURCE} at most"
        )
    reader = _SourceReader(text.removeprefix(_MARK))
    reader.read()
    if not reader.source.statements:
        raise DockerfileError("file with no instructions")
    return reader.source


def split_statement(text: str, escape: str, line: int) -> Statement:
    """Split a joined line into its keyword, its flags and the rest.

    Raises:
        DockerfileError: A flag's quote is not closed.
    """
    keyword, _, rest = _partition(text.strip())
    try:
        flags, rest = _take_flags(rest, escape)
    except DockerfileError as error:
        raise error.at(line) from None
    return Statement(line, keyword.upper(), tuple(flags), rest, text.strip())


class _SourceReader:
    def __init__(self, text: str) -> None:
        # Only line feeds end lines: a vertical tab, say, may be in a quoted word.
        self._lines = text.split("\n")
        self._position = 0
        self.source = Source()

    def read(self) -> None:
        self._read_directives()
        while (line := self._next()) is not None:
            start = self._position
            if not line.strip() or _COMMENT.match(line):
                continue
            text = self._joined(line.lstrip(), start)
            if not text.strip():
                continue
            statement = split_statement(text, self.source.escape, start)
            heredocs = tuple(self._read_heredoc(one, start) for one in _begun(statement))
            self.source.statements.append(replace(statement, heredocs=heredocs))

    def _next(self) -> str | None:
        if self._position >= len(self._lines):
            return None
        self._position += 1
        return self._lines[self._position - 1]

    def _read_directives(self) -> None:
        """Directives are comments of a certain form before everything else."""
        seen: set[str] = set()
        while (line := self._next()) is not None:
            match = _DIRECTIVE.fullmatch(line.strip())
            name = match[1].lower() if match else ""
            if match is None or name not in _DIRECTIVES:
                self._position -= 1
                return
            if name in seen:
                raise DockerfileError(
                    f"only one {name} parser directive can be used", self._position
                )
            seen.add(name)
            if name == "escape":
                self.source.escape = self._escape(match[2])
            elif name == "syntax":
                self.source.syntax = match[2]

    def _escape(self, value: str) -> str:
        if value not in ("`", "\\"):
            raise DockerfileError(f"invalid ESCAPE '{value}'. Must be ` or \\", self._position)
        return value

    def _joined(self, line: str, start: int) -> str:
        """Join a line with those that continue it; comments among them are left out."""
        continues = re.compile(re.escape(self.source.escape) + r"[ \t\r]*$")
        parts = []
        has_blank = False
        while True:
            match = continues.search(line)
            parts.append(line[: match.start()] if match else line.rstrip("\r"))
            if match is None:
                break
            following = self._next()
            while following is not None and (not following.strip() or _COMMENT.match(following)):
                has_blank = has_blank or not following.strip()
                following = self._next()
            if following is None:
                break
            line = following
        if has_blank:
            self.source.warnings.append(
                f"line {start}: Empty continuation line found. "
                "Empty continuation lines will become errors in a future release."
            )
        return "".join(parts)

    def _read_heredoc(self, begun: Heredoc, start: int) -> Heredoc:
        content: list[str] = []
        while (line := self._next()) is not None:
            bare = line.rstrip("\r")
            if (bare.lstrip("\t") if begun.strip_tabs else bare) == begun.name:
                return replace(begun, content="".join(content))
            content.append(f"{bare}\n")
        raise DockerfileError(f"unterminated heredoc: no line is just {begun.name}", start)


def _begun(statement: Statement) -> list[Heredoc]:
    keyword = statement.keyword
    if keyword == "ONBUILD":
        keyword = _partition(statement.rest)[0].upper()
    if keyword not in _WITH_HEREDOCS or "<<" not in statement.rest:
        return []
    if statement.rest.startswith("[") and is_json_array(statement.rest):
        return []
    return list(find_heredocs(statement.rest))


def is_json_array(text: str) -> bool:
    """Whether a text is a JSON array, and so the exec form of an instruction."""
    try:
        return isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return False


def _partition(text: str) -> tuple[str, str, str]:
    """Split at the first blanks."""
    match = re.search(r"[\t\v\f\r ]+", text)
    if match is None:
        return text, "", ""
    return text[: match.start()], match[0], text[match.end() :].strip()


def _take_flags(rest: str, escape: str) -> tuple[list[str], str]:
    """Take the words in front that begin with ``--``; two dashes alone end them.

    Quotes keep blanks in a flag's value, and are no part of it.
    """
    flags: list[str] = []
    while rest.startswith("--"):
        word, after = _flag(rest, escape)
        if word == "--":
            return flags, after
        flags.append(word)
        rest = after
    return flags, rest


def _flag(text: str, escape: str) -> tuple[str, str]:
    """Split the first word off, without its quotes and escapes."""
    word: list[str] = []
    quote, escaped = "", False
    length = len(text)
    for position, character in enumerate(text):
        if escaped:
            word.append(character)
            escaped = False
        elif character == escape:
            escaped = True
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        elif not quote and character.isspace():
            length = position
            break
        else:
            word.append(character)
    if quote:
        raise DockerfileError(f"the quote {quote} in the flag {text[:40]} is not closed")
    return "".join(word), text[length:].lstrip()
