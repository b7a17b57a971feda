"""Heredocs: lines of a Dockerfile that are the content of a file or of a script.

``RUN <<EOF``, ``COPY <<-"EOF" /path``: the word after ``<<`` ends the lines; a ``-`` removes tabs
at their beginnings; quotes in the word keep variables in the lines from being replaced. Source:
the reference of the Dockerfile format, "Here-Documents".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cellcrate_runtime.images.dockerfile.errors import DockerfileError
from cellcrate_runtime.images.dockerfile.lexer import Style, read

__all__ = ["Heredoc", "find_heredocs", "parse_heredoc"]

_WORD = re.compile(r"(\d*)<<(-?)([^<]*)", re.DOTALL)
_AS_WRITTEN = Style(keep_quotes=True, keep_escapes=True, keep_unset=True)
_UNQUOTED = Style(keep_unset=True)


@dataclass(frozen=True, slots=True)
class Heredoc:
    """One of them.

    Attributes:
        name: The word that ends it.
        strip_tabs: Whether tabs at the beginnings of its lines are removed.
        expands: Whether variables in it are replaced.
        content: Its lines as they are written, each with its line break.
    """

    name: str
    strip_tabs: bool = False
    expands: bool = True
    content: str = ""

    @property
    def text(self) -> str:
        """Its lines, without the tabs if they are to be removed."""
        if not self.strip_tabs:
            return self.content
        return re.sub(r"^\t+", "", self.content, flags=re.MULTILINE)


def parse_heredoc(word: str) -> Heredoc | None:
    """Understand one word, which is quoted as it was written; None where it begins no heredoc."""
    match = _WORD.fullmatch(word)
    if match is None or not match[3]:
        return None
    try:
        unquoted = read(match[3], {}, _UNQUOTED).words
        written = read(match[3], {}, _AS_WRITTEN).text
    except DockerfileError:
        return None
    if len(unquoted) != 1:
        return None
    return Heredoc(unquoted[0], strip_tabs=bool(match[2]), expands=unquoted[0] == written)


def find_heredocs(line: str) -> Sequence[Heredoc]:
    """The heredocs that a line begins, in their order and still without content."""
    try:
        words = read(line, {}, _AS_WRITTEN).words
    except DockerfileError:
        return []  # what is wrong with the line is told by whoever reads its instruction
    return [found for word in words if (found := parse_heredoc(word)) is not None]
