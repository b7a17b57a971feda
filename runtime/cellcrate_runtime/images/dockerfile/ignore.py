"""``.dockerignore``: what of a build context is not there for the build.

Source: Docker's manual, "Build context", ".dockerignore files", and moby/patternmatcher.
"""

from __future__ import annotations

import posixpath

from cellcrate_runtime.images.dockerfile.errors import IgnoreFileError
from cellcrate_runtime.images.dockerfile.patterns import PathMatcher

__all__ = ["IgnoreFile", "ignore_file_names"]


def ignore_file_names(dockerfile: str) -> tuple[str, str]:
    """The names that a context's ignore file can have, in the order in which they count."""
    return f"{dockerfile}.dockerignore", ".dockerignore"


class IgnoreFile:
    """The patterns of one file.

    Args:
        text: Its content.
        name: Its name, for messages.

    Raises:
        IgnoreFileError: A line is no pattern.
    """

    def __init__(self, text: str = "", name: str = ".dockerignore") -> None:
        patterns = []
        for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
            if line.startswith("#") or not line.strip():
                continue
            patterns.append(_cleaned(line.strip()))
            try:
                PathMatcher(patterns[-1:])
            except ValueError as error:
                raise IgnoreFileError(f"{name}, line {number}: {error}") from None
        self._matcher = PathMatcher(patterns)

    @property
    def has_exceptions(self) -> bool:
        """Whether something in an ignored folder may still be there."""
        return self._matcher.has_exceptions

    def ignores(self, path: str) -> bool:
        """Whether a path of the context, relative to it, is not there for the build."""
        return self._matcher.matches(path)


def _cleaned(pattern: str) -> str:
    """Patterns are relative to the context, with or without a slash in front."""
    invert = pattern.startswith("!")
    rest = pattern[1:].strip() if invert else pattern
    if rest:
        rest = posixpath.normpath(rest)
        rest = rest.lstrip("/") if len(rest) > 1 else rest
    return f"!{rest}" if invert else rest
