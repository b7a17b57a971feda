"""``%container`` and ``%image``: docker's commands, with docker's words and options."""

from __future__ import annotations

from cellcrate.commands.command import Command
from cellcrate.commands.family import Family
from cellcrate.commands.registry import CONTAINER, IMAGE

__all__ = ["CONTAINER", "IMAGE", "Command", "Family"]
