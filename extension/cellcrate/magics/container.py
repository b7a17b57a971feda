"""``%%container``: a cell runs in a container. ``%container``: commands on containers."""

from __future__ import annotations

from typing import Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class

from cellcrate.magics.documentation import cell_help, line_help
from cellcrate.options import parse, split
from cellcrate.options.run import CELL_GROUPS

__all__ = ["ContainerMagics"]


@magics_class
class ContainerMagics(Magics):
    """The magics that speak of containers."""

    @cell_magic("container")
    def container_cell(self, line: str, cell: str) -> Any:
        """Run the cell in a container."""
        # What these modules need takes a while to import; loading the extension must not.
        from cellcrate.cells.request import cell_request
        from cellcrate.cells.running import run

        request = cell_request(parse(split(line), CELL_GROUPS, "%%container"), cell, CELL_GROUPS)
        return run(request)

    @line_magic("container")
    def container_line(self, line: str) -> Any:
        """Look at containers and act on them."""
        from cellcrate.commands import CONTAINER

        return CONTAINER.dispatch(split(line))


ContainerMagics.container_cell.__doc__ = cell_help()
ContainerMagics.container_line.__doc__ = line_help()
