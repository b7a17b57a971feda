"""Containers on disk, so that the next engine finds them again.

Each container has a folder with

``definition.json``
    what it is; written whole, and on the disk before the container is started;
``state.json``
    how it was last; written whole, but not forced to the disk, because what it says (that
    something runs) does not survive the machine, and is checked against the shim anyway;
``exit.json``
    how it ended, written by its shim (:class:`cellcrate_runtime.engine.protocol.ExitRecord`).

Whole means: to a file of another name, then renamed. A folder whose name ends in ``.removing``
was being removed, and one without a definition was being created, when an engine was killed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from cellcrate_runtime.engine.container import Container, ContainerState, Definition, Status
from cellcrate_runtime.paths import Paths

__all__ = ["Store"]

_DEFINITION = "definition.json"
_STATE = "state.json"
# The writable layer, overlayfs' scratch folder beside it, and where they are mounted together.
_LAYER = ("upper", "work", "rootfs")
_REMOVING = ".removing"
_T = TypeVar("_T")
_log = logging.getLogger("cellcrate.store")


class Store:
    """The containers of one engine on disk."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def create(self, definition: Definition) -> Container:
        """Make the folder of a new container and write down what it is.

        It is safe from a crash of the machine after :meth:`force_to_disk`.
        """
        folder = self._paths.container(definition.id)
        folder.mkdir(mode=0o700)
        try:
            for name in _LAYER:
                os.mkdir(folder / name)
                # The writable layer's own mode is that of the container's root folder.
                os.chmod(folder / name, 0o755)
            if definition.shift is not None:
                root = definition.shift.host_id
                os.chown(folder / "upper", root, root)
            container = Container(definition, folder)
            self._write_definition(container, durable=False)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return container

    def force_to_disk(self, container: Container) -> None:
        """Wait until the disk has what a container is; it may have been removed meanwhile.

        Raises:
            OSError: The disk does not take it.
        """
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(container.folder / _DEFINITION, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def save(self, container: Container) -> None:
        """Write down what a container is, durably."""
        self._write_definition(container, durable=True)

    def _write_definition(self, container: Container, *, durable: bool) -> None:
        path = container.folder / _DEFINITION
        _write_whole(path, msgspec.json.encode(container.definition), durable=durable)

    def save_state(self, container: Container) -> None:
        """Write down how a container is.

        Where that fails (a full disk) the engine knows it all the same, and the next one asks the
        shim, or reads what the shim wrote.
        """
        path = container.folder / _STATE
        try:
            _write_whole(path, msgspec.json.encode(container.state), durable=False)
        except OSError as error:
            _log.error("container %s: its state is not written: %s", container.name, error)

    def mark_removing(self, container: Container) -> Path:
        """Rename a container's folder, so that it is gone even if the engine is killed now.

        An attempt to remove it may have failed before.
        """
        folder = container.folder
        renamed = folder.with_name(folder.name + _REMOVING)
        if folder.exists():
            folder.rename(renamed)
        return renamed

    def leftovers(self) -> list[Path]:
        """Return the folders of containers that were half created or half removed."""
        return [
            folder
            for folder in self._paths.containers.iterdir()
            if folder.suffix == _REMOVING or not (folder / _DEFINITION).exists()
        ]

    def load(self) -> Iterator[Container]:
        """Read all containers; one that cannot be read comes as dead, with the reason."""
        for folder in sorted(self._paths.containers.iterdir()):
            if folder.suffix != _REMOVING and (folder / _DEFINITION).exists():
                yield self._load_one(folder)

    def _load_one(self, folder: Path) -> Container:
        try:
            definition = _read(folder / _DEFINITION, Definition)
            if definition.id != folder.name:
                raise ValueError(f"{folder / _DEFINITION} is of container {definition.id}")
        except (OSError, ValueError) as error:
            return _dead(folder, f"its configuration cannot be read: {error}")
        try:
            state = _read(folder / _STATE, ContainerState)
        except FileNotFoundError:
            state = ContainerState()
        except (OSError, ValueError) as error:
            _log.warning("container %s: its last state cannot be read: %s", definition.name, error)
            state = ContainerState(status=Status.EXITED, exit_code=255, error=str(error))
        return Container(definition, folder, state)


def _dead(folder: Path, reason: str) -> Container:
    """Return what stands for a container of which nothing but its folder is known."""
    from cellcrate_runtime.engine.api.types import ContainerConfig, HostConfig

    _log.error("container %s: %s", folder.name, reason)
    definition = Definition(
        id=folder.name,
        name=f"unreadable_{folder.name[:12]}",
        created=folder.stat().st_mtime_ns,
        image="",
        path="",
        args=[],
        config=ContainerConfig(),
        host_config=HostConfig(),
    )
    state = ContainerState(status=Status.DEAD, exit_code=255, error=reason)
    return Container(definition, folder, state)


def _read(path: Path, kind: type[_T]) -> _T:
    return msgspec.json.decode(path.read_bytes(), type=kind)


def _write_whole(path: Path, content: bytes, *, durable: bool) -> None:
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(descriptor)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
