"""A container's bundle: the layers of its root, and the document that describes it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cellcrate_runtime.engine import protocol
from cellcrate_runtime.engine.container import Container
from cellcrate_runtime.engine.errors import ConflictError
from cellcrate_runtime.engine.etc_files import write_etc_files
from cellcrate_runtime.engine.oci_config import Surroundings, make_spec
from cellcrate_runtime.engine.oci_config.modes import Modes, check_modes
from cellcrate_runtime.engine.oci_config.volumes import anonymous_targets, make_anonymous
from cellcrate_runtime.linux.cgroups import hierarchy
from cellcrate_runtime.oci import spec as oci

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["rootfs", "write_bundle"]


async def rootfs(engine: Engine, container: Container) -> protocol.Rootfs:
    """Return the layers of a container's root, unpacking its image's where they are not yet.

    They are there also if the image has been removed by force since.

    Raises:
        ImageError: The image is damaged, or its layers are gone.
    """
    lower = engine.images.unpacked_dirs(container.id)
    if lower is None:
        lower = await asyncio.to_thread(engine.images.held_dirs, container.id)
    return protocol.Rootfs(
        lower=[str(folder) for folder in lower],
        upper=str(container.folder / "upper"),
        work=str(container.folder / "work"),
        mount_point=str(container.folder / "rootfs"),
        idmap=bool(_mappings(engine, container, _modes(engine, container))),
    )


def write_bundle(engine: Engine, container: Container, root: protocol.Rootfs) -> None:
    """Write the document that describes a container to its launcher and workers.

    Raises:
        ConflictError: It shares namespaces with a container that does not run.
    """
    definition, modes = container.definition, _modes(engine, container)
    targets = anonymous_targets(definition.config, definition.host_config)
    around = Surroundings(
        rootfs=root.mount_point,
        cgroup=container.cgroup_path if hierarchy().writable else "",
        id_mappings=_mappings(engine, container, modes),
        rootless=engine.identity.rootless,
        partner_pid=_partner_pid(engine, modes),
        etc_files=write_etc_files(definition, container.folder / "etc"),
        volumes=make_anonymous(targets, root.lower, container.folder / "volumes"),
    )
    document = oci.encode(make_spec(definition, modes, around))
    (container.folder / "config.json").write_bytes(document)


def _modes(engine: Engine, container: Container) -> Modes:
    resolve = engine.containers.get
    return check_modes(container.host_config, lambda reference: resolve(reference).id)


def _mappings(engine: Engine, container: Container, modes: Modes) -> list[oci.IDMapping]:
    """Return a container's id mappings: its partner's, if it shares namespaces with one."""
    if modes.partner:
        return engine.identity.mappings(engine.containers.get(modes.partner).host_config)
    return engine.identity.mappings(container.host_config)


def _partner_pid(engine: Engine, modes: Modes) -> int:
    if not modes.partner:
        return 0
    partner = engine.containers.get(modes.partner)
    if not partner.state.alive:
        raise ConflictError(
            f"cannot join a namespace of container {partner.name}, which is not running. "
            f"Start it first: docker start {partner.name}"
        )
    return partner.state.pid
