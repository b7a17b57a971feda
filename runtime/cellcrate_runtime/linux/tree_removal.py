"""Removing a folder with everything in it, however deep somebody has made it."""

from __future__ import annotations

import contextlib
import os
import stat

__all__ = ["remove_tree"]

_MOST_LEVELS = 100
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str, at: int | None = None) -> None:
    """Remove a folder and everything in it, also folders that deny their owner to write.

    A link is removed and never followed. That the folder is gone already is fine.

    Args:
        path: The folder, which must not be a link itself.
        at: A folder that is open, which ``path`` is in.

    Raises:
        PermissionError: Something in it belongs to somebody else.
        OSError: Something could not be removed.
    """
    with contextlib.suppress(FileNotFoundError):
        top = _enter(path, at)
        try:
            tree = _Tree(top)
            while names := os.listdir(top):
                for name in names:
                    tree.remove(name, top, 1)
        finally:
            os.close(top)
        os.rmdir(path, dir_fd=at)


class _Tree:
    """A folder that is being emptied.

    What lies too deep is moved to the top and removed from there, so that neither descriptors nor
    the stack run out.
    """

    def __init__(self, top: int) -> None:
        self._top = top
        self._moved = 0

    def remove(self, name: str, parent: int, level: int) -> None:
        try:
            if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
                os.unlink(name, dir_fd=parent)
                return
            folder = _enter(name, parent)
            try:
                if level == _MOST_LEVELS:
                    self._raise(folder)
                for child in os.listdir(folder):
                    self.remove(child, folder, level + 1)
            finally:
                os.close(folder)
            os.rmdir(name, dir_fd=parent)
        except FileNotFoundError:
            pass  # somebody else removed it

    def _raise(self, folder: int) -> None:
        """Move what is in a folder to the top."""
        for child in os.listdir(folder):
            self._moved += 1
            moved = f".deep-{os.getpid()}-{self._moved}"
            os.rename(child, moved, src_dir_fd=folder, dst_dir_fd=self._top)


def _enter(name: str, parent: int | None) -> int:
    """Open a folder, and let its owner (who we are, or may act as) change it if he may not."""
    folder = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        if os.fstat(folder).st_mode & 0o700 != 0o700:  # overlayfs' own scratch folder, for one
            os.chmod(f"/proc/self/fd/{folder}", 0o700)
        return os.open(".", _FOLDER, dir_fd=folder)
    finally:
        os.close(folder)
