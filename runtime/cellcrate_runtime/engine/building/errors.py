"""What ends a build."""

from __future__ import annotations

__all__ = ["BUILD_LABEL", "BuildError"]

BUILD_LABEL = "org.cellcrate.build"
"""The label of the containers of RUN; an engine that starts removes those of the one before it."""


class BuildError(Exception):
    """A step that failed.

    Attributes:
        message: Why, for the one who builds.
        code: The exit status of the step's program; 0 if it was none that failed.
    """

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
