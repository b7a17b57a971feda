"""The base image: a shell, coreutils and this Python, packed from this machine on first use."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from cellcrate_runtime.images.documents import Execution
from cellcrate_runtime.images.errors import ImageNotFoundError
from cellcrate_runtime.images.files import locked
from cellcrate_runtime.images.image import BASE_REFERENCE, Image
from cellcrate_runtime.images.packer.assemble import Step, add_image
from cellcrate_runtime.images.packer.libraries import Libraries
from cellcrate_runtime.images.packer.plan import Plan
from cellcrate_runtime.images.packer.python import add_python
from cellcrate_runtime.images.packer.system_files import (
    add_certificates,
    add_system_files,
    system_name,
)
from cellcrate_runtime.images.packer.tools import add_tools
from cellcrate_runtime.images.references import parse

if TYPE_CHECKING:
    from cellcrate_runtime.images.store import ImageStore

__all__ = ["ensure_base", "pack_base"]

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def ensure_base(store: ImageStore, progress: Callable[[str], None]) -> Image:
    """Return the base image, packing it if it is not there. Others who ask meanwhile wait.

    Raises:
        PackError: This machine lacks something that the image cannot do without.
    """
    found = _find(store)
    if found is None:
        with locked(store.root / "base.lock"):
            found = _find(store) or pack_base(store, progress)
    return found


def _find(store: ImageStore) -> Image | None:
    try:
        return store.get(BASE_REFERENCE)
    except ImageNotFoundError:
        return None


def pack_base(store: ImageStore, progress: Callable[[str], None]) -> Image:
    """Pack the base image anew.

    Two layers, so that a new Python does not bring the tools anew.

    Raises:
        PackError: This machine lacks something that the image cannot do without.
    """
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    progress(f"Packing {BASE_REFERENCE} from this machine: the shell, its tools, {python}")
    tools = Plan()
    names = add_tools(tools, Libraries(tools, strip=True))
    shell = "/bin/bash" if "bash" in names else "/bin/sh"
    add_system_files(tools, shell=shell)
    library = Plan(below=tools)
    add_python(library, Libraries(library, strip=True))
    variables = add_certificates(library)
    image = add_image(
        store,
        [
            Step(tools, f"cellcrate: shell and tools of {system_name()}"),
            Step(library, f"cellcrate: {python} of {system_name()}"),
        ],
        Execution(
            env=[f"PATH={PATH}", "LANG=C.UTF-8", *variables],
            cmd=[shell],
            labels={
                "org.opencontainers.image.title": "Cellcrate base",
                "org.opencontainers.image.description": (
                    f"A shell, its tools and {python}, packed from {system_name()}"
                ),
            },
        ),
        parse(BASE_REFERENCE),
    )
    progress(f"Packed {BASE_REFERENCE}: {image.size / 1e6:.0f} MB")
    return image
