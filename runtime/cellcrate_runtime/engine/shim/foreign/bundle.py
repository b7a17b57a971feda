"""The bundle that other runtimes read: the container's own, without what only ours understands.

A runtime prepares a container with a user namespace as that namespace's root, who may not pass
through the engine's private folders, and runtimes before runc 1.2 and crun 1.9 translate no owners.
So the shim does both: it puts the root and everything that is mounted from the host, with the
owners translated, in one place that everybody can reach, in its private mount namespace.
"""

from __future__ import annotations

import contextlib
import os
from contextlib import ExitStack

import msgspec

from cellcrate_runtime.linux import mounts
from cellcrate_runtime.linux.cgroups.resources import Pids
from cellcrate_runtime.oci import mounts as oci_mounts
from cellcrate_runtime.oci import spec
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.identity import MappingNamespaces

__all__ = ["write"]

_VERSION = "1.0.2"  # what runc 1.1 and crun 1.8 know
# Folders that every Linux has (Filesystem Hierarchy Standard) and that no runtime looks into.
_PLACES = ("/mnt", "/media", "/srv", "/opt")
# Makes a filter faster and less safe; runc 1.1 knows no flags at all.
_OPTIONAL_FLAG = "SECCOMP_FILTER_FLAG_SPEC_ALLOW"
# Said of a mount already, where the shim has put it.
_DONE = frozenset({"idmap", "ridmap", "ro", "rro"})


def write(
    folder: str,
    config: spec.Spec,
    rootfs: str,
    owners: int | None,
    cgroups_path: str,
    not_in: list[str],
) -> dict[str, str]:
    """Write the bundle, and have ready what it mounts.

    Args:
        folder: Where ``config.json`` is written.
        config: The container's configuration; left as it is.
        rootfs: Its root, mounted.
        owners: A user namespace like the container's to translate owners with, if there is one.
        cgroups_path: Its control group, below the top of the tree.
        not_in: Paths that the runtime needs, so that nothing may be mounted over them.

    Returns what each place that the runtime mounts from shows; the root is ``/``.

    Raises:
        OCIError: Something that is to be mounted is not there, or cannot be.
    """
    linux = config.linux or spec.Linux()
    with ExitStack() as held:
        trees = _open_all(config, linux, owners, held)
        root = mounts.open_tree(rootfs, clone=True, recursive=True)
        held.callback(os.close, root)
        place = _make_place(not_in)
        _show(root, f"{place}/rootfs", is_directory=True)
        shown = {f"{place}/rootfs": "/"}
        moved = []
        for number, (mount, tree) in enumerate(zip(config.mounts, trees, strict=True)):
            if tree is None or tree.tree is None:
                moved.append(mount)
                continue
            source = f"{place}/{number}"
            _show(tree.tree, source, is_directory=tree.is_directory)
            shown[source] = mount.source
            options = [word for word in mount.options if word not in _DONE]
            moved.append(msgspec.structs.replace(mount, source=source, options=options))
    translated = msgspec.structs.replace(
        config,
        oci_version=_VERSION,
        root=spec.Root(
            path=f"{place}/rootfs", readonly=config.root is not None and config.root.readonly
        ),
        mounts=moved,
        linux=_linux(linux, cgroups_path),
    )
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    with open(f"{folder}/config.json", "wb") as file:
        file.write(spec.encode(translated))
    return shown


def _open_all(
    config: spec.Spec, linux: spec.Linux, owners: int | None, held: ExitStack
) -> list[oci_mounts.PreparedMount | None]:
    """Take everything from the host before anything of it is covered."""
    mappings = MappingNamespaces(linux, owners)
    found: list[oci_mounts.PreparedMount | None] = []
    try:
        for mount in config.mounts:
            is_bind = mount.type == "bind" or "bind" in mount.options or "rbind" in mount.options
            prepared = oci_mounts.prepare(mount, mappings) if is_bind else None
            if prepared is not None:
                held.callback(prepared.close)
            found.append(prepared)
    finally:
        for descriptor in mappings.made:
            os.close(descriptor)
    return found


def _make_place(not_in: list[str]) -> str:
    """Cover a folder of the host, in this mount namespace alone, with one for the mounts."""
    for place in _PLACES:
        covered = any(f"{path}/".startswith(f"{place}/") for path in not_in)
        if os.path.isdir(place) and not os.path.islink(place) and not covered:
            mounts.mount("cellcrate", place, "tmpfs", mounts.MS_NOSUID, "mode=755")
            mounts.set_propagation(place, mounts.MS_PRIVATE)
            return place
    raise OCIError(
        f"there is no place to show a runtime the container's files: one of {', '.join(_PLACES)} "
        "must exist"
    )


def _show(tree: int, path: str, *, is_directory: bool) -> None:
    if is_directory:
        os.mkdir(path, 0o755)
    else:
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o644))
    mounts.attach(tree, path)


def _is_no_limit(pids: Pids) -> bool:
    return pids.limit is None or pids.limit < 0


def _linux(linux: spec.Linux, cgroups_path: str) -> spec.Linux:
    filter_ = linux.seccomp
    if filter_ is not None:
        flags = [flag for flag in filter_.flags if flag != _OPTIONAL_FLAG]
        filter_ = msgspec.structs.replace(filter_, flags=flags)
    resources = linux.resources
    if resources is not None and resources.pids is not None and _is_no_limit(resources.pids):
        resources = msgspec.structs.replace(resources, pids=None)  # crun 1.8 writes the -1 down
    return msgspec.structs.replace(
        linux, seccomp=filter_, resources=resources, cgroups_path=cgroups_path
    )
