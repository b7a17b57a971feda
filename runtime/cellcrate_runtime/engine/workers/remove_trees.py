"""Remove folders whose files belong to other ids, which only the user's namespace may touch."""

from __future__ import annotations

import os

from cellcrate_runtime.engine.workers.answers import TaskError
from cellcrate_runtime.linux.tree_removal import remove_tree

__all__ = ["remove_trees"]


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
        remove_tree(os.path.normpath(path))
