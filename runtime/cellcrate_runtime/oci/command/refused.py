"""``checkpoint`` and ``restore``, which callers may ask for."""

from __future__ import annotations

from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.errors import CommandError
from cellcrate_runtime.oci.command.settings import Settings

__all__ = ["checkpoint", "restore"]


def checkpoint(_settings: Settings, _arguments: Arguments) -> None:
    """Say that it is not supported."""
    raise CommandError("checkpoint is not supported by this runtime; use runc or crun for it")


def restore(_settings: Settings, _arguments: Arguments) -> None:
    """Say that it is not supported."""
    raise CommandError("restore is not supported by this runtime; use runc or crun for it")
