"""The options of ``%%container`` and ``%container run``: those of ``docker run``, and more."""

from __future__ import annotations

from cellcrate.options.run.basics import CELL, CONTAINER, REFUSED
from cellcrate.options.run.process import HEALTH, PROCESS
from cellcrate.options.run.resources import LIVE, RESOURCES
from cellcrate.options.run.surroundings import FILES, NETWORK, SECURITY

__all__ = ["CELL_GROUPS", "LIVE", "RUN_GROUPS"]

#: The options of ``%container run``, which has no cell.
RUN_GROUPS = (CONTAINER, PROCESS, RESOURCES, FILES, NETWORK, SECURITY, HEALTH, REFUSED)

#: The options of ``%%container``.
CELL_GROUPS = (CELL, *RUN_GROUPS)
