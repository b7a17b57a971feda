"""Remove folders whose files belong to other ids, which only the user's namespace may touch."""

from __future__ import annotations

import contextlib
import os
import stat

from cellcrate_runtime.engine.workers.answers import TaskError

__all__ = ["remove_trees"]

_MOST_LEVELS = 100
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_trees(paths: list[str]) -> None:
    """Remove folders and everything in them; a link is removed and never followed.

    That a folder is gone already is fine.

    Raises:
        TaskError: A path is not absolute.
        OSError: Something could not be removed.
    """
    for path in paths:
        if not os.path.isabs(path) or os.path.normpath(path) == "/":
            raise TaskError("invalid", f"{path} is not a folder that may be removed")
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            _remove_tree(os.path.normpath(path))


def _remove_tree(path: str) -> None:
    top = _enter(path, None)
    try:
        tree = _Tree(top)
        while names := os.listdir(top):
            for name in names:
                tree.remove(name, top, 1)
    finally:
        os.close(top)
    os.rmdir(path)


class _Tree:
    """A folder that is being emptied, however deep somebody has made it.

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
