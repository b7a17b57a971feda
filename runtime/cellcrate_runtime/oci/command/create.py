"""``create``: make a container, and leave its program waiting."""

from __future__ import annotations

from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.making import make_container
from cellcrate_runtime.oci.command.settings import Settings

__all__ = ["create"]


def create(settings: Settings, arguments: Arguments) -> None:
    """Make the container; its process becomes a child of whoever adopts this one's."""
    make_container(settings, arguments, leaves=True, waits=True)
