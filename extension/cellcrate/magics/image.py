"""``%%image``: a cell's Dockerfile becomes an image. ``%image``: commands on images."""

from __future__ import annotations

from typing import Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class

from cellcrate.magics.documentation import image_cell_help, image_line_help
from cellcrate.options import parse, split
from cellcrate.options.build import CELL_BUILD_GROUPS

__all__ = ["ImageMagics"]


@magics_class
class ImageMagics(Magics):
    """The magics that speak of images."""

    @cell_magic("image")
    def image_cell(self, line: str, cell: str) -> Any:
        """Build the cell's Dockerfile."""
        # What these modules need takes a while to import; loading the extension must not.
        from cellcrate.explain import engine_errors
        from cellcrate.images.building.request import cell_build
        from cellcrate.images.building.running import build

        parsed = parse(split(line), CELL_BUILD_GROUPS, "%%image", mixed=True)
        with engine_errors():
            return build(cell_build(parsed, cell))

    @line_magic("image")
    def image_line(self, line: str) -> Any:
        """Look at images and act on them."""
        from cellcrate.commands import IMAGE

        return IMAGE.dispatch(split(line))


ImageMagics.image_cell.__doc__ = image_cell_help()
ImageMagics.image_line.__doc__ = image_line_help()
