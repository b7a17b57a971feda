"""What the shim writes into a container's log."""

from __future__ import annotations

import json
import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cellcrate_runtime.engine.protocol import LogFile
from cellcrate_runtime.engine.shim.json_log import PART, JsonLog


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "json.log"


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def texts(path: Path) -> list[str]:
    return [entry["log"] for entry in entries(path)]


def test_each_line_is_an_entry_of_its_stream(path: Path) -> None:
    log = JsonLog(LogFile(path=str(path)))
    log.write(1, b"one\ntwo\n")
    log.write(2, b"oh\n")
    log.close()
    found = entries(path)
    assert [(e["log"], e["stream"]) for e in found] == [
        ("one\n", "stdout"),
        ("two\n", "stdout"),
        ("oh\n", "stderr"),
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{9}Z", e["time"]) for e in found)


def test_a_line_is_put_together_from_pieces_and_the_streams_are_not_mixed(path: Path) -> None:
    log = JsonLog(LogFile(path=str(path)))
    log.write(1, b"be")
    log.write(2, b"error ")
    log.write(1, b"gin")
    assert entries(path) == []
    log.write(1, b"ning\nand ")
    log.write(2, b"text")
    log.close()
    assert texts(path) == ["beginning\n", "and ", "error text"]


def test_a_long_line_is_cut_and_can_be_put_together_again(path: Path) -> None:
    line = "x" * (2 * PART + 5) + "\n"
    log = JsonLog(LogFile(path=str(path)))
    for start in range(0, len(line), 1000):
        log.write(1, line[start : start + 1000].encode())
    log.close()
    found = texts(path)
    assert [len(text) for text in found] == [PART, PART, 6]
    assert "".join(found) == line


@pytest.mark.parametrize("offset", range(4))
def test_no_character_is_cut(path: Path, offset: int) -> None:
    line = "a" * offset + "한글🎉" * 5000 + "\n"
    log = JsonLog(LogFile(path=str(path)))
    log.write(1, line.encode())
    log.close()
    found = texts(path)
    assert "".join(found) == line
    assert max(len(text.encode()) for text in found) <= PART


def test_bytes_that_are_no_text_are_replaced(path: Path) -> None:
    log = JsonLog(LogFile(path=str(path)))
    log.write(1, b"\xff\x80 and more\n" + b"\x80" * (PART + 10))
    log.close()
    assert texts(path)[0] == "�� and more\n"
    assert sum(text.count("�") for text in texts(path)) == 2 + PART + 10


def test_a_full_file_makes_way_for_a_new_one(path: Path) -> None:
    log = JsonLog(LogFile(path=str(path), max_size=300, max_files=3))
    for number in range(20):
        log.write(1, b"line %d\n" % number)
    log.close()
    files = sorted(name for name in os.listdir(path.parent))
    assert files == ["json.log", "json.log.1", "json.log.2"]
    assert all((path.parent / name).stat().st_size <= 300 for name in files)
    kept = [text for name in reversed(files) for text in texts(path.parent / name)]
    assert kept == [f"line {number}\n" for number in range(20 - len(kept), 20)]


def test_with_one_file_only_the_newest_lines_stay(path: Path) -> None:
    log = JsonLog(LogFile(path=str(path), max_size=200))
    log.write(1, b"".join(b"line %d\n" % number for number in range(10)))
    log.close()
    assert os.listdir(path.parent) == ["json.log"]
    assert texts(path)[-1] == "line 9\n"
    assert path.stat().st_size <= 200


def test_a_log_is_continued(path: Path) -> None:
    for text in (b"one\n", b"two\n"):
        log = JsonLog(LogFile(path=str(path)))
        log.write(1, text)
        log.close()
    assert texts(path) == ["one\n", "two\n"]


def test_a_link_in_its_place_is_not_followed(path: Path) -> None:
    path.symlink_to("/dev/null")
    with pytest.raises(OSError, match="symbolic links"):
        JsonLog(LogFile(path=str(path)))


@contextmanager
def small_files() -> Iterator[None]:
    """Files of this process cannot grow past 1000 bytes: a disk that is full.

    Only while the log is written: what pytest itself prints may go to a file, too.
    """
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_a_full_disk_leaves_a_gap_and_no_half_entry(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with small_files():
        log = JsonLog(LogFile(path=str(path)))
        for number in range(100):
            log.write(1, b"line %d\n" % number)
        log.close()
    found = texts(path)
    assert found == [f"line {number}\n" for number in range(len(found))]
    assert 5 < len(found) < 100
    assert capfd.readouterr().err.count("has a gap") == 1
