"""What can be wrong with a Dockerfile, said in Docker's words, with the line where it is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from cellcrate_runtime.images.errors import ImageError

__all__ = ["DockerfileError", "ExpansionError", "IgnoreFileError", "suggestion"]


class DockerfileError(ImageError, ValueError):
    """A Dockerfile that is not one, or that asks for what cannot be.

    Attributes:
        line: The line where the instruction begins, from 1; 0 where it is about the whole file.
    """

    def __init__(self, message: str, line: int = 0) -> None:
        where = f"dockerfile parse error on line {line}: " if line else ""
        super().__init__(f"{where}{message}")
        self.reason = message
        self.line = line

    def at(self, line: int) -> DockerfileError:
        """The same with a line, unless it has one."""
        return self if self.line else type(self)(self.reason, line)


class ExpansionError(DockerfileError):
    """A variable's substitution that is written wrongly, or that refuses its variable's value."""


class IgnoreFileError(DockerfileError):
    """A pattern of a ``.dockerignore`` that is none."""


def suggestion(word: str, possible: Iterable[str]) -> str:
    """Return `` (did you mean WORD?)`` where something similar is possible, else nothing."""
    close = difflib.get_close_matches(word, list(possible), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""
