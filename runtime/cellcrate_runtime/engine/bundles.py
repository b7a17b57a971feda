"""A container's bundle: the layers of its root, and the document that describes it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cellcrate_runtime.engine import protocol
from cellcrate_runtime.engine.container import Container, Definition
from cellcrate_runtime.engine.errors import ConflictError
from cellcrate_runtime.engine.etc_files import write_etc_files
from cellcrate_runtime.engine.oci_config import Surroundings, make_spec
from cellcrate_runtime.engine.oci_config.modes import Modes, check_modes
from cellcrate_runtime.engine.oci_config.volumes import anonymous_targets, make_anonymous
from cellcrate_runtime.linux.cgroups import hierarchy
from cellcrate_runtime.oci import spec as oci
from cellcrate_runtime.oci.identity import id_ranges

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["rootfs", "user_namespace_of", "write_bundle"]


async def rootfs(engine: Engine, container: Container) -> protocol.Rootfs:
    """Return the layers of a container's root, unpacking or copying its image's where needed.

    They are there also if the image has been removed by force since.

    Raises:
        ImageError: The image is damaged, or its layers are gone, or there is no room to copy them.
    """
    definition = container.definition
    shift = definition.shift
    users = user_namespace_of(engine, definition, _modes(engine, definition))
    ids = id_ranges([shift])[0] if shift is not None else None
    lower = engine.images.unpacked_dirs(container.id, ids)
    if lower is None:
        lower = await asyncio.to_thread(engine.images.held_dirs, container.id, ids)
    return protocol.Rootfs(
        # An image may have a layer several times, and overlayfs takes a folder only once. The
        # topmost hides all that the same layer has further below.
        lower=[str(folder) for folder in dict.fromkeys(lower)],
        upper=str(container.folder / "upper"),
        work=str(container.folder / "work"),
        mount_point=str(container.folder / "rootfs"),
        idmap=shift is None and engine.identity.is_remapped(users.host_config),
        shift=shift,
    )


def write_bundle(engine: Engine, container: Container, root: protocol.Rootfs) -> None:
    """Write the document that describes a container to its launcher and workers.

    Raises:
        ConflictError: It shares namespaces with a container that does not run, or its files cannot
            be mounted for its users any more.
    """
    definition, modes = container.definition, _modes(engine, container.definition)
    users = user_namespace_of(engine, definition, modes)
    targets = anonymous_targets(definition.config, definition.host_config)
    around = Surroundings(
        rootfs=root.mount_point,
        cgroup=container.cgroup_path if hierarchy().writable else "",
        id_mappings=engine.identity.mappings(users.host_config, definition.shift),
        rootless=engine.identity.rootless,
        partner_pid=_partner_pid(engine, modes),
        etc_files=write_etc_files(definition, container.folder / "etc"),
        volumes=make_anonymous(targets, root.lower, container.folder / "volumes", definition.shift),
        can_translate=engine.identity.can_translate,
    )
    document = oci.encode(make_spec(definition, modes, around))
    (container.folder / "config.json").write_bytes(document)


def _modes(engine: Engine, definition: Definition) -> Modes:
    resolve = engine.containers.get
    return check_modes(definition.host_config, lambda reference: resolve(reference).id)


def user_namespace_of(engine: Engine, definition: Definition, modes: Modes) -> Definition:
    """Return whose user namespace a container has: that of whom it shares others with, or its own.

    Raises:
        ContainerNotFoundError: That one has been removed.
    """
    while modes.partner:
        definition = engine.containers.get(modes.partner).definition
        modes = _modes(engine, definition)
    return definition


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
