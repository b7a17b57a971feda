"""Being told of changes."""

from __future__ import annotations

import errno
import os
import select
from pathlib import Path

import pytest

from cellcrate_runtime.linux.inotify import Change, Inotify


def tells(inotify: Inotify) -> bool:
    return bool(select.select([inotify], [], [], 0)[0])


def test_it_tells_of_what_was_asked_for_and_of_nothing_else(tmp_path: Path) -> None:
    with Inotify() as inotify:
        inotify.watch(tmp_path, Change.CREATE | Change.MOVED_TO)
        assert not tells(inotify)
        (tmp_path / "file").touch()
        assert tells(inotify)
        inotify.drain()
        assert not tells(inotify)
        (tmp_path / "file").write_text("modified")
        assert not tells(inotify)
        (tmp_path / "file").rename(tmp_path / "other")
        assert tells(inotify)


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with Inotify() as inotify, pytest.raises(FileNotFoundError) as raised:
        inotify.watch(missing, Change.MODIFY)
    assert raised.value.filename == str(missing)


def test_no_program_inherits_it_and_closing_twice_is_fine() -> None:
    inotify = Inotify()
    descriptor = inotify.fileno()
    assert not os.get_inheritable(descriptor)
    inotify.close()
    inotify.close()
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(descriptor)
