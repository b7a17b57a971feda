"""Which version of Cellcrate this is."""

from __future__ import annotations

import functools
from importlib import metadata

__all__ = ["own_version"]


@functools.cache
def own_version() -> str:
    """The version of this distribution, or that it runs from its source without being installed."""
    try:
        return metadata.version("cellcrate")
    except metadata.PackageNotFoundError:
        return "0+source"
