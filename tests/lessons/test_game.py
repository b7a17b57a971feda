"""The game computes, welcomes players, eats memory only as far as it promised, and ends whole."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from cellcrate.lessons.programs import PROGRAMS, free_port
from cellcrate.lessons.workloads import game as program


@contextmanager
def playing(folder: Path, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, str(PROGRAMS / "game.py"), *map(str, arguments)]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def report(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    line: dict[str, Any] = json.loads(process.stdout.readline())
    return line


def test_workers_compute_frames(tmp_path: Path) -> None:
    with playing(tmp_path, "--port", free_port(0), "--workers", 2) as process:
        first = report(process)
        assert first["workers"] == 2
        assert first["frames_per_second"] > 0
        assert "replay_mib" not in first
        assert len(psutil.Process(process.pid).children()) == 2


def test_players_are_welcome(tmp_path: Path) -> None:
    port = free_port(0)
    with playing(tmp_path, "--port", port, "--workers", 1) as process:
        report(process)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as player:
            assert player.makefile().readline() == "welcome to a world of 500 creatures\n"


def test_the_replay_takes_real_memory_and_keeps_its_promise(tmp_path: Path) -> None:
    arguments = ("--port", free_port(0), "--workers", 1, "--replay", 20, "--at-most", 30)
    with playing(tmp_path, *arguments) as process:
        before = psutil.Process(process.pid).memory_info().rss
        assert [report(process)["replay_mib"] for _ in range(3)] == [20, 30, 30]
        grown = psutil.Process(process.pid).memory_info().rss - before
        assert grown > 25 * program.MIB


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with playing(tmp_path, "--port", port) as process:
            said, complained = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said == b""
    assert f"port {port}: EADDRINUSE".encode() in complained


def test_no_worker_survives_the_game(tmp_path: Path) -> None:
    with playing(tmp_path, "--port", free_port(0), "--workers", 2) as process:
        report(process)
        workers = psutil.Process(process.pid).children()
        process.kill()
        assert psutil.wait_procs(workers, timeout=10)[1] == []


def test_a_gentle_end_is_silent(tmp_path: Path) -> None:
    with playing(tmp_path, "--port", free_port(0), "--workers", 2) as process:
        report(process)
        process.terminate()
        _, complained = process.communicate(timeout=20)
    assert process.returncode == 0
    assert complained == b""


def test_creatures_walk_and_stay_in_their_world() -> None:
    world = program.World(random.Random(1))
    before = [tuple(creature) for creature in world.creatures]
    for _ in range(300):
        world.frame()
    assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y, _ in world.creatures)
    assert [tuple(creature) for creature in world.creatures] != before


@pytest.mark.parametrize("arguments", [("--workers", "many"), ("--fly",)])
def test_unknown_wishes_are_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with playing(tmp_path, *arguments) as process:
        _, complained = process.communicate(timeout=20)
    assert process.returncode == 2
    assert b"usage:" in complained


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 4),
        ({"cpu.max": "max 100000"}, 4),
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "250000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 4),
        ({"cpu.max": "900000 100000"}, 4),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 4),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
    ],
)
def test_the_game_fits_the_cpus_that_it_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{content}\n")
    assert program.usable_cpus(tmp_path) == expected
