"""A build's folder: its context, what it fetches and unpacks, and its secrets.

It lies in the data folder and ends with the build; the folder of a build whose engine was killed
is removed when the next one starts. Secrets lie in memory where the machine has a place for that.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cellcrate_runtime.images.subordinate import remove_tree
from cellcrate_runtime.paths import Paths

__all__ = [
    "Workspace",
    "builds_folder",
    "caches_folder",
    "remove_leftovers",
    "secrets_folders",
    "workspace",
]

_SHARED_MEMORY = Path("/dev/shm")
_SECRETS_PREFIX = "cellcrate-secrets-"


class Workspace:
    """The folders of one build."""

    def __init__(self, folder: Path, secrets_folder: Path) -> None:
        self.folder = folder
        self.context = folder / "context"
        self.scratch = folder / "scratch"
        self.secrets = secrets_folder
        for one in (self.context, self.scratch):
            # Nobody else gets to them: the folder that they lie in is private.
            one.mkdir()
            one.chmod(0o755)

    def file(self) -> Path:
        """A name for a new file."""
        return self.folder / secrets.token_hex(8)


def builds_folder(paths: Paths) -> Path:
    """Where the folders of builds are."""
    return paths.data / "builds"


def caches_folder(paths: Paths) -> Path:
    """Where ``RUN --mount=type=cache`` has its folders."""
    return paths.data / "build-mounts"


@contextlib.contextmanager
def workspace(paths: Paths) -> Iterator[Workspace]:
    """Make a build's folders, and remove them in the end."""
    top = builds_folder(paths)
    top.mkdir(mode=0o700, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=top))
    hidden = Path(tempfile.mkdtemp(prefix=_secrets_prefix(paths), dir=_secrets_place(paths)))
    try:
        yield Workspace(folder, hidden)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        remove_tree(folder)


def remove_leftovers(paths: Paths) -> None:
    """Remove the folders of builds whose engine was killed. Only one engine runs for a home."""
    with contextlib.suppress(FileNotFoundError):
        for folder in builds_folder(paths).iterdir():
            remove_tree(folder)
    for folder in secrets_folders(paths):
        shutil.rmtree(folder, ignore_errors=True)


def secrets_folders(paths: Paths) -> list[Path]:
    """The folders with secrets of builds of this home."""
    return list(_secrets_place(paths).glob(f"{_secrets_prefix(paths)}*"))


def _secrets_place(paths: Paths) -> Path:
    if os.path.ismount(_SHARED_MEMORY) and os.access(_SHARED_MEMORY, os.W_OK):
        return _SHARED_MEMORY
    return paths.run


def _secrets_prefix(paths: Paths) -> str:
    """Another home's engine leaves ours alone, and we its."""
    return _SECRETS_PREFIX + hashlib.sha256(os.fsencode(paths.data)).hexdigest()[:12] + "-"
