"""``RUN --mount``: what is mounted while a program runs, and is no part of the layer."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import posixpath
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cellcrate_runtime.engine.api.types import MountSpec
from cellcrate_runtime.engine.building.errors import BuildError

if TYPE_CHECKING:
    from cellcrate_runtime.images.dockerfile.instructions import Mount

__all__ = ["CacheFolders", "RunMounts", "mount_secret"]

_FOLDER_MODE = 0o755
_SECRET_MODE = 0o400
_SECRETS = "/run/secrets"


@dataclass(slots=True)
class RunMounts:
    """What a RUN has mounted, for the container that is made for it."""

    mounts: list[MountSpec] = field(default_factory=list)
    tmpfs: dict[str, str] = field(default_factory=dict)

    def bind(self, source: Path | str, target: str, *, read_only: bool) -> None:
        """Add a folder or file of this machine."""
        self.mounts.append(
            MountSpec(type="bind", source=str(source), target=target, read_only=read_only)
        )

    @property
    def targets(self) -> list[str]:
        """Where something is mounted."""
        return [*(mount.target for mount in self.mounts), *self.tmpfs]


class CacheFolders:
    """The folders of ``--mount=type=cache``, and who uses them at the moment.

    Args:
        top: Where they are.
    """

    def __init__(self, top: Path) -> None:
        self.top = top
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}

    @contextlib.asynccontextmanager
    async def use(self, mount: Mount, target: str) -> AsyncIterator[Path]:
        """Have a cache's folder as long as the block lasts, as its ``sharing`` asks.

        Raises:
            BuildError: Its folder cannot belong to whom it is to belong.
        """
        name = hashlib.sha256((mount.id or target).encode()).hexdigest()[:32]
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with contextlib.AsyncExitStack() as held:
            if mount.sharing == "locked":
                await held.enter_async_context(lock)
            elif mount.sharing == "private" and self._users.get(name):
                name = await asyncio.to_thread(self._another, name)
            self._users[name] = self._users.get(name, 0) + 1
            try:
                yield await asyncio.to_thread(self._ensure, self.top / name, mount)
            finally:
                self._users[name] -= 1

    def folders(self) -> list[Path]:
        """All of them."""
        return sorted(self.top.iterdir()) if self.top.exists() else []

    def free(self) -> list[Path]:
        """Those that nobody uses now."""
        return [folder for folder in self.folders() if not self._users.get(folder.name)]

    def _another(self, name: str) -> str:
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.top)).name

    def _ensure(self, folder: Path, mount: Mount) -> Path:
        if folder.is_dir() and os.listdir(folder):
            return folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chmod(folder, _FOLDER_MODE if mount.mode is None else mount.mode)
        _give(folder, mount)
        return folder


def mount_secret(mounts: RunMounts, mount: Mount, secrets: dict[str, bytes], folder: Path) -> None:
    """Mount a secret, or do without one that need not be there.

    Args:
        mounts: What it is added to.
        mount: What was asked for.
        secrets: All secrets, by id.
        folder: Where its file is written: a folder of this user's alone.

    Raises:
        BuildError: It is required and not there, or is wanted in a variable.
    """
    if mount.variable:
        raise BuildError(
            "RUN --mount=type=secret,env= is not supported: a container's variables are written "
            "to the disk with it. Read the secret's file instead"
        )
    name = mount.id or posixpath.basename(mount.target)
    value = secrets.get(name)
    if value is None:
        if mount.required:
            raise BuildError(f"secret {name}: not found. Hand it over with the build")
        return
    path = Path(tempfile.mkdtemp(dir=folder)) / "secret"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(value)
    os.chmod(path, _SECRET_MODE if mount.mode is None else mount.mode)
    _give(path, mount)
    mounts.bind(path, mount.target or f"{_SECRETS}/{name}", read_only=True)


def remove_folder(folder: Path) -> None:
    """Remove a cache's folder."""
    shutil.rmtree(folder)


def _give(path: Path, mount: Mount) -> None:
    if not (mount.uid or mount.gid):
        return
    if os.geteuid() != 0:
        raise BuildError(
            f"RUN --mount=type={mount.kind}: uid and gid cannot be set by an ordinary user. "
            "Leave them out: the files belong to root in the container"
        )
    os.chown(path, mount.uid, mount.gid)
