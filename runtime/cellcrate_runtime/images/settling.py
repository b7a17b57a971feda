"""Getting unpacked layers onto the disk without making anybody wait.

A layer is thousands of small files; flushing them takes seconds on a busy disk, and it would be
the first cell that waits. But a layer can be unpacked again from its blob, so it is enough to know,
after a crash of the machine, which layers may be incomplete: those that still carry the mark of an
earlier boot. The mark goes when a thread in the background has flushed the file system.
"""

from __future__ import annotations

import contextlib
import threading
from functools import cache
from pathlib import Path

from cellcrate_runtime.images.files import sync_file_system

__all__ = ["Settler", "is_trustworthy", "mark"]

MARK = "unsettled"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # see random(4)


@cache
def _boot_id() -> str:
    return BOOT_ID.read_text()


def mark(folder: Path) -> None:
    """Note in a folder, before it gets its name, that it may not be on the disk yet."""
    (folder / MARK).write_text(_boot_id())


def is_trustworthy(folder: Path) -> bool:
    """Whether a folder is whole: it is on the disk, or was written since the machine started."""
    try:
        return (folder / MARK).read_text() == _boot_id()
    except FileNotFoundError:
        return folder.exists()


class Settler:
    """Flushes folders in the background, several at once where they come together."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: list[Path] = []
        self._working = False

    def add(self, folder: Path) -> None:
        """Have a folder flushed, and its mark removed."""
        with self._guard:
            self._waiting.append(folder)
            if self._working:
                return
            self._working = True
        # It need not finish: what is not flushed when this process ends keeps its mark.
        threading.Thread(target=self._work, name="settle layers", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._guard:
                folders, self._waiting = self._waiting, []
                if not folders:
                    self._working = False
                    return
            # They lie beside each other, so one flush is for all. If the disk fails, or they are
            # gone by now, the marks stay.
            with contextlib.suppress(OSError):
                sync_file_system(folders[0].parent)
                for folder in folders:
                    (folder / MARK).unlink(missing_ok=True)
