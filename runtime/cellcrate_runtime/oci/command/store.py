"""The state folder: a folder for each container, with a file ``record`` in it.

=============== ===========================================================================
``record``      what is known of the container since it was made; written whole
``config.json`` its configuration, as it was then
``start``       a socket on which the process waits for its start; gone after that
=============== ===========================================================================

The folder itself is what commands lock. A folder without a record is of a container that is being
made, or whose making was cut short.
"""

from __future__ import annotations

import fcntl
import os

from cellcrate_runtime.oci.command.errors import CommandError, NotFoundError
from cellcrate_runtime.oci.command.record import Record

__all__ = ["FILTERS", "Folder", "folders"]

_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")
_LONGEST_ID = 1024

FILTERS = ",filters"
"""A folder that is no container's, for :mod:`cellcrate_runtime.linux.seccomp.kept`."""


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
            with open(f"{self.path}/record", "rb") as file:
                written = file.read()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError from None
        try:
            return Record.read(written)
        except (ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{self.path}/record cannot be read: {error}") from error

    def save(self, record: Record) -> None:
        """Write what is known, whole."""
        temporary = f"{self.path}/record.new"
        with open(temporary, "wb") as file:
            file.write(record.written())
        os.rename(temporary, f"{self.path}/record")

    def locked(self) -> Lock:
        """Keep other commands from changing this container, for the length of a block.

        Raises:
            NotFoundError: It is gone.
        """
        return Lock(self.path)

    def exists(self) -> bool:
        """Whether the name is taken, if only by what a crash left."""
        return os.path.isdir(self.path)

    def remove(self) -> None:
        """Give the name back."""
        try:
            for name in os.listdir(self.path):
                os.unlink(f"{self.path}/{name}")
            os.rmdir(self.path)
        except OSError:
            import shutil  # which takes longer to load than most commands to run

            shutil.rmtree(self.path, ignore_errors=True)

    @property
    def start_socket(self) -> str:
        """Where the process waits for its start."""
        return f"{self.path}/start"


class Lock:
    """Holds a folder against others, for the length of a block."""

    __slots__ = ("_folder",)

    def __init__(self, path: str) -> None:
        try:
            self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError from None

    def __enter__(self) -> None:
        fcntl.flock(self._folder, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        # A process that was forked meanwhile has the descriptor too, and would keep the lock.
        fcntl.flock(self._folder, fcntl.LOCK_UN)
        os.close(self._folder)


def folders(root: str) -> list[Folder]:
    """Every container's folder."""
    try:
        names = sorted(os.listdir(root))
    except FileNotFoundError:
        return []
    return [
        Folder(root, name) for name in names if _is_id(name) and os.path.isdir(f"{root}/{name}")
    ]


def _is_id(text: str) -> bool:
    return text not in ("", ".", "..") and len(text) <= _LONGEST_ID and _ALLOWED.issuperset(text)


def _check_id(text: str) -> None:
    if not _is_id(text):
        wrong = next((c for c in text if c not in _ALLOWED), "")
        why = f"invalid character `{wrong}` in the ID {text!r}" if wrong else repr(text)
        raise CommandError(
            f"invalid container ID format: {why} (letters, digits and _ + - . are allowed)"
        )
