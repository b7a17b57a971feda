"""``%container``: docker's commands on containers, with docker's words and options."""

from __future__ import annotations

from cellcrate.commands.command import Command
from cellcrate.commands.registry import COMMANDS, dispatch, find

__all__ = ["COMMANDS", "Command", "dispatch", "find"]
