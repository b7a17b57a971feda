"""What a lesson cannot do, said in plain lines in place of a stack of frames."""

from __future__ import annotations

from cellcrate.errors import CellcrateError

__all__ = ["LessonError"]


class LessonError(CellcrateError):
    """A step of a lesson cannot go on; the message says why, and what to do."""
