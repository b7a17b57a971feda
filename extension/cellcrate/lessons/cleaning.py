"""Leave nothing behind: the end of every lesson."""

from __future__ import annotations

from cellcrate.lessons import containers
from cellcrate.lessons.programs import stop_processes
from cellcrate.lessons.words import say

__all__ = ["clean_up"]


def clean_up(*names: str) -> None:
    """Stop this kernel's processes, and remove the containers with those names."""
    gone = [f"$ {command}" for command in stop_processes()]
    gone += [name for name in names if containers.remove(name)]
    print(say("cleaned", what=", ".join(gone) or say("nothing")))
