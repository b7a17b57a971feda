"""Notes of what was done: by this process, and by children that have no descriptor left."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cellcrate_runtime.linux import processes, recording
from cellcrate_runtime.linux.cgroups import files


@pytest.fixture
def recorder() -> Iterator[recording.Recorder]:
    yield recording.start("maker")
    recording.stop()


def in_child(live: Callable[[], None]) -> None:
    pid = os.fork()
    if not pid:
        try:
            live()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def test_nothing_is_noted_unless_asked_for(tmp_path: Path) -> None:
    assert recording.active is None
    (tmp_path / "memory.max").touch()
    files.write(str(tmp_path), "memory.max", 5)
    recorder = recording.start("maker")
    recording.stop()
    assert recorder.records() == ([], 0)


def test_what_was_done_is_noted_and_what_failed_is_not(
    recorder: recording.Recorder, tmp_path: Path
) -> None:
    (tmp_path / "memory.max").touch()
    files.write(str(tmp_path), "memory.max", 5)
    with pytest.raises(FileNotFoundError):
        files.write(str(tmp_path), "cpu.max", 7)
    found, lost = recorder.records()
    assert lost == 0
    assert [(record.by, record.call, record.values) for record in found] == [
        ("maker", "write", {"file": f"{tmp_path}/memory.max", "value": "5"})
    ]
    assert recorder.begin <= found[0].time <= time.monotonic_ns()


def test_a_child_notes_without_any_descriptor(recorder: recording.Recorder) -> None:
    def live() -> None:
        recorder.become_child("child")
        processes.close_all_but(3)
        os.closerange(0, 4)
        recorder.note("first", number=1)
        recorder.prepare("second", words=["a", "b"])()

    recorder.note("before")
    in_child(live)
    recorder.note("after")
    found, _ = recorder.records()
    assert [(record.by, record.call) for record in found] == [
        ("maker", "before"),
        ("child", "first"),
        ("child", "second"),
        ("maker", "after"),
    ]
    assert found[2].values == {"words": ["a", "b"]}


def test_one_child_goes_on_where_another_ended(recorder: recording.Recorder) -> None:
    for name in ("one", "two"):
        in_child(lambda name=name: (recorder.become_child(name), recorder.note("here"))[-1])
    assert [record.by for record in recorder.records()[0]] == ["one", "two"]


def test_what_is_prepared_is_kept_only_when_it_was_done(recorder: recording.Recorder) -> None:
    recorder.prepare("never")
    done = recorder.prepare("done")
    recorder.note("between")
    done()
    # The time is that of its preparation, so that it comes first.
    assert [record.call for record in recorder.records()[0]] == ["done", "between"]


def test_what_finds_no_room_is_counted(recorder: recording.Recorder) -> None:
    def live() -> None:
        recorder.become_child("child")
        for _ in range(5):
            recorder.note("long", text="x" * 300_000)

    in_child(live)
    found, lost = recorder.records()
    assert len(found) + lost == 5
    assert len(found) >= 3
    assert lost >= 1


def test_the_path_of_a_descriptor(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_PATH)
    assert recording.path_of(descriptor) == str(tmp_path)
    os.close(descriptor)
    assert recording.path_of(descriptor) == f"descriptor {descriptor}"
