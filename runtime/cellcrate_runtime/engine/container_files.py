"""How the engine reaches a container's files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellcrate_runtime.engine.bundles import rootfs, write_bundle
from cellcrate_runtime.engine.container import Container
from cellcrate_runtime.engine.files_client import Files

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["files_of"]


async def files_of(engine: Engine, container: Container) -> Files:
    """Return the files of a container, volumes included.

    Those of a running container are as its processes see them. Those of one that does not run are
    mounted anew by a worker that the launcher starts.

    Raises:
        ImageError: The image of a container that does not run is damaged or gone.
    """
    if container.shim is not None and container.state.alive:
        return container.shim.files()
    root = await rootfs(engine, container)
    if not (container.folder / "config.json").exists():
        write_bundle(engine, container, root)  # it never ran
    return engine.launcher.files(root, str(container.folder))
