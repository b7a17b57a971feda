"""What FROM and ``--from`` name: an image of the store, or of a registry."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cellcrate_runtime.engine.building.options import BuildOptions
from cellcrate_runtime.engine.errors import NotServedError
from cellcrate_runtime.images import BASE_REFERENCE, Image, ImageNotFoundError
from cellcrate_runtime.images.architecture import machine_architecture
from cellcrate_runtime.images.errors import ImageError
from cellcrate_runtime.images.references import parse

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["check_platform", "find_image"]


async def find_image(engine: Engine, name: str, options: BuildOptions) -> Image:
    """Return an image, packing or pulling it where it is not there.

    Raises:
        ImageError: There is none of that name, and none can be had.
    """
    try:
        return await asyncio.to_thread(engine.images.get, name)
    except ImageNotFoundError:
        pass
    if _is_base(name):
        return await asyncio.to_thread(engine.images.ensure_base)
    return await pull(engine, name, options)


async def pull(engine: Engine, name: str, options: BuildOptions) -> Image:
    """Have an image pulled that the store does not have.

    Raises:
        NotServedError: Registries are not asked yet.
    """
    raise NotServedError(
        f"pulling {name!r} from a registry",
        f"Build upon {BASE_REFERENCE} or scratch, or load the image first (docker load).",
    )


def check_platform(platform: str) -> None:
    """Refuse to build for another kind of machine than this one.

    Raises:
        ImageError: It is one.
    """
    if not platform:
        return
    system, _, architecture = platform.lower().partition("/")
    mine = machine_architecture()
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    wanted = architecture.partition("/")[0]
    if system != "linux" or (wanted and names.get(wanted, wanted) != mine):
        raise ImageError(
            f"the platform {platform} is not this machine's, which is linux/{mine}. Leave "
            "--platform out: programs of other machines cannot run here"
        )


def _is_base(name: str) -> bool:
    return parse(name).with_default_tag() == parse(BASE_REFERENCE)
