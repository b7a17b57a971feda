"""``--volume``, ``--mount`` and ``--tmpfs``, understood and checked when a container is created.

Folders and files of the host, and file systems in memory. Named volumes are not served yet.

An image's VOLUME, or ``-v /path``, is a part of the container: where the image has something at
the path it stays in the writable layer, and otherwise it is a folder beside that layer. Both are
deleted with the container, as an anonymous volume is by ``docker run --rm``.

Unlike Docker, ``-v`` makes no folder on the host when its source is missing: a typing error is
said at once, and nothing is created.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cellcrate_runtime.engine.api.types import (
    BindOptions,
    ContainerConfig,
    HostConfig,
    MountPoint,
    MountSpec,
)
from cellcrate_runtime.engine.errors import BadRequestError, NotServedError
from cellcrate_runtime.engine.words import words
from cellcrate_runtime.linux import safe_paths
from cellcrate_runtime.oci.spec import IDMapping

__all__ = [
    "Volume",
    "anonymous_targets",
    "make_anonymous",
    "mount_points",
    "tmpfs_options",
    "volumes",
]

_PROPAGATIONS = frozenset({"private", "rprivate", "slave", "rslave", "shared", "rshared"})
_IGNORED_MODES = frozenset({"z", "Z", "cached", "delegated", "consistent", "nocopy"})
_TMPFS_OPTIONS = frozenset(
    words(
        """
    ro rw exec noexec suid nosuid dev nodev sync async dirsync remount mand nomand atime
    noatime diratime nodiratime bind rbind unbindable runbindable private rprivate shared
    rshared slave rslave relatime norelatime strictatime nostrictatime mode uid gid
    nr_inodes nr_blocks mpol size
    """
    )
)
_TMPFS_DEFAULTS = ["noexec", "nosuid", "nodev"]


@dataclass(frozen=True)
class Volume:
    """One mount that was asked for.

    Attributes:
        kind: ``bind`` or ``tmpfs``.
        source: The path on the host, of a bind mount.
        target: The path in the container, absolute and without ``.`` or ``..``.
        read_only: Whether the container may not write there.
        recursive: Whether what is mounted below the source comes along.
        propagation: See mount_namespaces(7).
        options: Further options of a tmpfs.
        mode: What the user wrote after the second colon, which ``inspect`` shows.
        translated: Whether owners of its files are translated to the container's.
    """

    kind: str
    target: str
    source: str = ""
    read_only: bool = False
    recursive: bool = True
    propagation: str = "rprivate"
    options: list[str] = field(default_factory=list)
    mode: str = ""
    translated: bool = True


def volumes(host: HostConfig) -> list[Volume]:
    """Return all mounts that were asked for, parents before what is below them.

    Raises:
        BadRequestError: One of them makes no sense, or its source does not exist.
        NotServedError: One of them is of a kind that is not served yet.
    """
    if host.volumes_from:
        raise NotServedError("taking volumes of another container (--volumes-from)")
    found = [volume for bind in host.binds if (volume := _bind(bind))]
    found += [_mount(spec) for spec in host.mounts]
    found += [
        Volume("tmpfs", _target(target, target), options=tmpfs_options(options))
        for target, options in host.tmpfs.items()
    ]
    _refuse_duplicates(found)
    return sorted(found, key=lambda volume: volume.target.count("/"))


def mount_points(found: Iterable[Volume]) -> list[MountPoint]:
    """Return the mounts as ``inspect`` shows them."""
    return [
        MountPoint(
            type=volume.kind,
            source=volume.source,
            destination=volume.target,
            mode=volume.mode,
            rw=not volume.read_only,
            propagation=volume.propagation if volume.kind == "bind" else "",
        )
        for volume in found
    ]


def anonymous_targets(config: ContainerConfig, host: HostConfig) -> list[str]:
    """Return the paths of an image's VOLUMEs and of ``-v /path``, without those mounted anyway.

    Raises:
        BadRequestError: One of them is not an absolute path.
    """
    # docker-py names the volumes of both kinds in both places.
    given = [*config.volumes, *host.binds]
    alone = [path for path in given if ":" not in path]
    mounted = {volume.target for volume in volumes(host)}
    return sorted({_target(path, path) for path in alone} - mounted)


def make_anonymous(
    targets: list[str], layers: list[str], folder: Path, shift: IDMapping | None
) -> list[Volume]:
    """Make the folders of anonymous volumes for which the image has none.

    Args:
        targets: Where they are in the container.
        layers: The folders of the image's layers.
        folder: Where to make them.
        shift: The ids that the container's files have on disk, where mounts do not translate them.
    """
    found = []
    for target in targets:
        if any(_has(layer, target) for layer in layers):
            continue
        source = folder / target.strip("/").replace("/", "-")
        if not source.exists():
            source.mkdir(mode=0o755, parents=True)
            if shift is not None:
                os.chown(source, shift.host_id, shift.host_id)
        found.append(Volume("bind", target, source=str(source), translated=shift is None))
    return found


def _has(layer: str, path: str) -> bool:
    """Whether a layer has something at a path; links in it lead nowhere outside of it."""
    root = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(safe_paths.open_inside(root, path))
    except OSError:
        return False
    finally:
        os.close(root)
    return True


def _bind(text: str) -> Volume | None:
    """Understand one ``-v``: ``source:target[:options]``, or a target alone."""
    parts = text.split(":")
    if not parts[0] or len(parts) > 3:
        raise BadRequestError(f"invalid volume specification: '{text}'")
    if len(parts) == 1:
        _target(parts[0], text)
        return None  # an anonymous volume: a part of the writable layer
    source, target = parts[0], _target(parts[1], text)
    mode = parts[2] if len(parts) == 3 else ""
    if not source.startswith("/"):
        raise _no_named_volumes(source)
    read_only, propagation = _bind_mode(mode, text)
    return Volume(
        "bind",
        target,
        source=_source(source, f"invalid volume specification: '{text}'"),
        read_only=read_only,
        propagation=propagation,
        mode=mode,
    )


def _bind_mode(mode: str, text: str) -> tuple[bool, str]:
    read_only, propagation = False, "rprivate"
    for word in filter(None, mode.split(",")):
        if word in ("ro", "rw"):
            read_only = word == "ro"
        elif word in _PROPAGATIONS:
            propagation = word
        elif word not in _IGNORED_MODES:
            raise BadRequestError(
                f"invalid mode: {mode} (in '{text}'). It can be ro, rw, or a propagation such as "
                "rslave"
            )
    return read_only, propagation


def _mount(spec: MountSpec) -> Volume:
    """Understand one ``--mount``."""
    about = f'invalid mount config for type "{spec.type}"'
    if spec.type in ("volume", "image", "cluster", "npipe"):
        if spec.type == "volume" and not spec.source:
            raise NotServedError("a mount of type volume", "Use --tmpfs or a bind mount.")
        if spec.type == "volume":
            raise _no_named_volumes(spec.source)
        raise NotServedError(f"a mount of type {spec.type}")
    if spec.type not in ("bind", "tmpfs"):
        raise BadRequestError(f"{about}: mount type unknown. It can be bind or tmpfs")
    target = _target(spec.target, spec.target, about)
    if spec.type == "tmpfs":
        return _tmpfs_mount(spec, target, about)
    if not spec.source:
        raise BadRequestError(f"{about}: field Source must not be empty")
    options = spec.bind_options or BindOptions()
    if options.propagation and options.propagation not in _PROPAGATIONS:
        raise BadRequestError(f"{about}: invalid propagation mode: {options.propagation}")
    return Volume(
        "bind",
        target,
        source=_source(spec.source, about),
        read_only=spec.read_only,
        recursive=not options.non_recursive,
        propagation=options.propagation or "rprivate",
    )


def _tmpfs_mount(spec: MountSpec, target: str, about: str) -> Volume:
    if spec.source:
        raise BadRequestError(f"{about}: field Source must not be specified")
    options = ["noexec", "nosuid", "nodev"]
    if given := spec.tmpfs_options:
        if given.size_bytes < 0:
            raise BadRequestError(f"{about}: a size of {given.size_bytes} bytes makes no sense")
        options += [f"size={given.size_bytes}"] if given.size_bytes else []
        options += [f"mode={given.mode:o}"] if given.mode else []
        for option in given.options:
            if option not in (["exec"], ["noexec"]):
                raise BadRequestError(f"{about}: invalid option: {'='.join(option)}")
            options += option
    return Volume("tmpfs", target, read_only=spec.read_only, options=options)


def tmpfs_options(text: str) -> list[str]:
    """Understand the options of one ``--tmpfs``.

    Raises:
        BadRequestError: One of them is not an option of tmpfs(5).
    """
    given = [option for option in text.split(",") if option]
    for option in given:
        if option.partition("=")[0] not in _TMPFS_OPTIONS:
            raise BadRequestError(f'invalid tmpfs option "{option}"; see tmpfs(5)')
    return _TMPFS_DEFAULTS + given


def _target(path: str, text: str, about: str = "") -> str:
    about = about or f"invalid volume specification: '{text}'"
    if not path:
        raise BadRequestError(f"{about}: field Target must not be empty")
    if not path.startswith("/"):
        raise BadRequestError(f"{about}: invalid mount path: '{path}' mount path must be absolute")
    clean = "/" + posixpath.normpath(path).lstrip("/")
    if clean == "/":
        raise BadRequestError(f"{about}: invalid specification: destination can't be '/'")
    return clean


def _source(path: str, about: str) -> str:
    """Check that a bind mount's source exists and can be mounted; return it cleaned."""
    if not path.startswith("/"):
        raise BadRequestError(f"{about}: invalid mount path: '{path}' mount path must be absolute")
    if "\0" in path:
        raise BadRequestError(f"{about}: invalid mount path: {path!r} has a zero byte")
    clean = os.path.normpath(path)
    try:
        mode = os.stat(clean).st_mode
    except FileNotFoundError:
        raise BadRequestError(
            f"{about}: bind source path does not exist: {clean}. Make it first "
            f"(mkdir -p {clean}), or correct the path"
        ) from None
    except OSError as error:
        raise BadRequestError(f"{about}: {clean} cannot be mounted: {error.strerror}") from None
    if not os.access(clean, os.X_OK if stat.S_ISDIR(mode) else os.R_OK):
        raise BadRequestError(f"{about}: {clean} cannot be mounted: permission denied")
    return clean


def _no_named_volumes(name: str) -> Exception:
    return NotServedError(
        f"the named volume {name!r}",
        "Mount a folder by its absolute path (-v /path/on/host:/path), or use --tmpfs.",
    )


def _refuse_duplicates(found: list[Volume]) -> None:
    targets = [volume.target for volume in found]
    for target in targets:
        if targets.count(target) > 1:
            raise BadRequestError(f"Duplicate mount point: {target}")
