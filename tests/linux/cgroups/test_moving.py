"""Moves that are announced: they change nothing, and cannot fail loudly."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellcrate_runtime.linux.cgroups import announce_move, moving


def membership() -> str:
    return Path("/proc/self/cgroup").read_text()


def test_the_process_stays_where_it_is() -> None:
    before = membership()
    announce_move()
    announce_move()
    assert membership() == before


@pytest.mark.root
def test_it_is_done_where_groups_may_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, str, int]] = []
    monkeypatch.setattr(moving.files, "write", lambda *what: written.append(what))
    announce_move()
    [(directory, name, _)] = written
    assert name == "cgroup.procs"
    assert Path(directory, name).exists()


def test_a_group_that_is_gone_harms_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(moving, "own_directories", lambda: {"cpu": str(tmp_path / "gone")})
    moving._own_directory.cache_clear()
    announce_move()
    moving._own_directory.cache_clear()


def test_another_group_is_not_taken_for_our_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cgroup.procs").write_text("")
    monkeypatch.setattr(moving, "own_paths", lambda: {"cpu": "/somewhere/else"})
    monkeypatch.setattr(moving, "own_directories", lambda: {"cpu": str(tmp_path)})
    moving._own_directory.cache_clear()
    announce_move()
    moving._own_directory.cache_clear()
    assert (tmp_path / "cgroup.procs").read_text() == ""
