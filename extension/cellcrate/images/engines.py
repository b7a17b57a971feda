"""Which engine it is, and what it alone can do."""

from __future__ import annotations

from functools import cache

from cellcrate.connection import Engine

__all__ = ["is_cellcrate"]

NAME = "Cellcrate"


def is_cellcrate(engine: Engine) -> bool:
    """Whether an engine is Cellcrate's own, which has requests that the others have not."""
    return engine.embedded or _says_so(engine)


@cache
def _says_so(engine: Engine) -> bool:
    platform = engine.api.version().get("Platform") or {}
    return str(platform.get("Name", "")).startswith(NAME)
