"""Real containers in a notebook: ``%load_ext cellcrate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import docker

__all__ = ["client", "load_ipython_extension", "unload_ipython_extension"]


def client() -> docker.DockerClient:
    """Return docker-py's client for the engine that the cells talk to, started if need be.

    Raises:
        cellcrate.errors.EngineUnreachable: No engine answers.
    """
    from cellcrate import connection

    return connection.engine().client


def load_ipython_extension(shell: Any) -> None:
    """Add the magics to a shell, and get ready for the first cell in the background."""
    from cellcrate import completion, warmup
    from cellcrate.magics.cellcrate import CellcrateMagics
    from cellcrate.magics.container import ContainerMagics
    from cellcrate.magics.image import ImageMagics

    shell.register_magics(ContainerMagics, ImageMagics, CellcrateMagics)
    completion.install(shell)
    warmup.begin()


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics away. Containers that run go on."""
    from cellcrate import connection

    own = [(kind, name) for name in ("container", "image") for kind in ("cell", "line")]
    for kind, name in (*own, ("line", "cellcrate")):
        shell.magics_manager.magics[kind].pop(name, None)
    connection.forget()
