"""The state folder: a folder for each container, with ``state.json`` in it.

=============== ===========================================================================
``state.json``  what is known of the container since it was made; written whole
``config.json`` its configuration, as it was then
``start``       a socket on which the process waits for its start; gone after that
=============== ===========================================================================

The folder itself is what commands lock. A folder without ``state.json`` is of a container that is
being made, or whose making was cut short.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator

from cellcrate_runtime.oci.command.errors import CommandError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:  # as typing has it, whose import takes longer than all that is done here
    from typing import Any

__all__ = ["Folder", "Record", "folders", "timestamp"]

_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")
_LONGEST_ID = 1024


class Record:
    """What ``state.json`` has of one container.

    Attributes:
        start_time: When its first process began, in the kernel's ticks: with the process id, the
            name of a process that no other one ever has.
        created: In RFC 3339.
        cgroup: The path of its control group; empty without one.
        directories: Where that is in each tree; see :class:`cellcrate_runtime.linux.cgroups.Cgroup`
        own_processes: Whether it has a PID namespace of its own.
        has_hooks: Whether there are hooks for when it has started or been deleted.
        shared_root: What :class:`cellcrate_runtime.oci.shared_mounts.SharedRoot` needs, if its
            root is mounted for others too.
    """

    __slots__ = (
        "annotations",
        "bundle",
        "cgroup",
        "created",
        "directories",
        "has_hooks",
        "id",
        "oci_version",
        "own_processes",
        "owner",
        "pid",
        "rootfs",
        "shared_root",
        "start_time",
    )

    def __init__(
        self,
        *,
        id: str,
        oci_version: str,
        bundle: str,
        rootfs: str,
        pid: int = 0,
        start_time: int = 0,
        created: str = "",
        owner: int = 0,
        annotations: dict[str, str] | None = None,
        cgroup: str = "",
        directories: dict[str, str] | None = None,
        own_processes: bool = True,
        has_hooks: bool = False,
        shared_root: tuple[str, int, str] | None = None,
    ) -> None:
        self.id = id
        self.oci_version = oci_version
        self.bundle = bundle
        self.rootfs = rootfs
        self.pid = pid
        self.start_time = start_time
        self.created = created
        self.owner = owner
        self.annotations = annotations or {}
        self.cgroup = cgroup
        self.directories = directories or {}
        self.own_processes = own_processes
        self.has_hooks = has_hooks
        self.shared_root = shared_root

    def members(self) -> dict[str, Any]:
        """Everything, by name."""
        return {name: getattr(self, name) for name in self.__slots__}


class Folder:
    """The folder of one container."""

    __slots__ = ("id", "path")

    def __init__(self, root: str, container_id: str) -> None:
        _check_id(container_id)
        self.id = container_id
        self.path = f"{root}/{container_id}"

    @classmethod
    def make(cls, root: str, container_id: str) -> Folder:
        """Take a name for a new container.

        Raises:
            CommandError: It is taken, or cannot be one.
        """
        folder = cls(root, container_id)
        os.makedirs(root, 0o700, exist_ok=True)
        try:
            os.mkdir(folder.path, 0o700)
        except FileExistsError:
            raise CommandError("container with given ID already exists") from None
        return folder

    def load(self) -> Record:
        """Read what is known.

        Raises:
            NotFoundError: There is no such container, or not yet.
        """
        try:
            with open(f"{self.path}/state.json", "rb") as file:
                return Record(**json.loads(file.read()))
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError from None
        except (ValueError, TypeError) as error:
            raise CommandError(f"{self.path}/state.json cannot be read: {error}") from error

    def save(self, record: Record) -> None:
        """Write what is known, whole."""
        temporary = f"{self.path}/state.json.new"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(record.members(), file)
        os.rename(temporary, f"{self.path}/state.json")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands from changing this container.

        Raises:
            NotFoundError: It is gone.
        """
        try:
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError from None
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            # A process that was forked meanwhile has the descriptor too, and would keep the lock.
            fcntl.flock(folder, fcntl.LOCK_UN)
            os.close(folder)

    def exists(self) -> bool:
        """Whether the name is taken, if only by what a crash left."""
        return os.path.isdir(self.path)

    def remove(self) -> None:
        """Give the name back."""
        import shutil  # not needed by most commands

        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def start_socket(self) -> str:
        """Where the process waits for its start."""
        return f"{self.path}/start"


def folders(root: str) -> list[Folder]:
    """Every container's folder."""
    try:
        names = sorted(os.listdir(root))
    except FileNotFoundError:
        return []
    return [
        Folder(root, name) for name in names if _is_id(name) and os.path.isdir(f"{root}/{name}")
    ]


def timestamp() -> str:
    """Now, in RFC 3339, to the microsecond."""
    now = time.time_ns() // 1000
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1_000_000))
    return f"{seconds}.{now % 1_000_000:06d}Z"


def _is_id(text: str) -> bool:
    return text not in ("", ".", "..") and len(text) <= _LONGEST_ID and _ALLOWED.issuperset(text)


def _check_id(text: str) -> None:
    if not _is_id(text):
        wrong = next((c for c in text if c not in _ALLOWED), "")
        why = f"invalid character `{wrong}` in the ID {text!r}" if wrong else repr(text)
        raise CommandError(
            f"invalid container ID format: {why} (letters, digits and _ + - . are allowed)"
        )
