"""Reading a log: choice of lines, rotation, and following until the end."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cellcrate_runtime.engine.logs import Entry, Wanted, encode, read
from cellcrate_runtime.engine.timestamps import SECOND

T0 = 1_700_000_000  # 2023-11-14T22:13:20Z


def line(number: int, stream: str = "stdout", log: str | None = None) -> bytes:
    time = f"2023-11-14T22:13:{20 + number % 40:02d}.5Z"
    text = f"line {number}\n" if log is None else log
    return json.dumps({"log": text, "stream": stream, "time": time}).encode() + b"\n"


def write(path: Path, numbers: range, stream: str = "stdout") -> None:
    with path.open("ab") as file:
        for number in numbers:
            file.write(line(number, stream))


def rotate(path: Path, kept: int = 9) -> None:
    for number in range(kept, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.rename(path.with_name(f"{path.name}.{number + 1}"))
    path.rename(path.with_name(f"{path.name}.1"))


async def collect(
    path: Path, wanted: Wanted, ended: asyncio.Future[object] | None = None
) -> list[str]:
    async with asyncio.timeout(10):
        return [e.log.strip() async for batch in read(path, wanted, ended) for e in batch]


def texts(path: Path, **wanted: object) -> list[str]:
    return asyncio.run(collect(path, Wanted(**wanted)))  # type: ignore[arg-type]


def numbers(first: int, after: int) -> list[str]:
    return [f"line {number}" for number in range(first, after)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "json.log"


def test_a_log_that_is_not_there_yet_is_empty(log: Path) -> None:
    assert texts(log) == []
    assert texts(log, tail=3) == []


def test_rotated_files_are_read_oldest_first(log: Path) -> None:
    for start in (0, 10, 20):
        if start:
            rotate(log)
        write(log, range(start, start + 10))
    assert texts(log) == numbers(0, 30)


@pytest.mark.parametrize("tail", [0, 1, 5, 10, 11, 25, 30, 31, 1000])
def test_tail_counts_across_files(log: Path, tail: int) -> None:
    for start in (0, 10, 20):
        if start:
            rotate(log)
        write(log, range(start, start + 10))
    assert texts(log, tail=tail) == numbers(0, 30)[30 - min(tail, 30) :]


def test_the_tail_of_a_large_log_is_read_from_its_end(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with log.open("wb") as file:
        file.write(b"".join(line(number) for number in range(200_000)))
    read_bytes = 0
    pread = os.pread

    def counting(fd: int, size: int, offset: int) -> bytes:
        nonlocal read_bytes
        data = pread(fd, size, offset)
        read_bytes += len(data)
        return data

    monkeypatch.setattr(os, "pread", counting)
    assert texts(log, tail=3) == numbers(199_997, 200_000)
    assert read_bytes < log.stat().st_size / 10


def test_a_tail_longer_than_one_block(log: Path) -> None:
    write(log, range(10_000))
    assert texts(log, tail=7_777) == numbers(2_223, 10_000)


def test_lines_longer_than_a_block(log: Path) -> None:
    long = "x" * 1_000_000
    log.write_bytes(line(0) + line(1, log=long) + line(2))
    assert texts(log) == ["line 0", long, "line 2"]
    assert texts(log, tail=2) == [long, "line 2"]


def test_since_and_until_include_their_moments(log: Path) -> None:
    write(log, range(10))
    half = SECOND // 2
    assert texts(log, since=(T0 + 3) * SECOND + half) == numbers(3, 10)
    assert texts(log, since=(T0 + 3) * SECOND + half + 1) == numbers(4, 10)
    assert texts(log, until=(T0 + 3) * SECOND + half) == numbers(0, 4)
    assert texts(log, since=(T0 + 2) * SECOND, until=(T0 + 5) * SECOND) == numbers(2, 5)


def test_streams_are_chosen_after_the_tail(log: Path) -> None:
    write(log, range(3))
    write(log, range(3, 5), stream="stderr")
    assert texts(log, stderr=False) == numbers(0, 3)
    assert texts(log, stdout=False) == numbers(3, 5)
    assert texts(log, stdout=False, tail=1) == ["line 4"]
    assert texts(log, stderr=False, tail=1) == []


def test_a_damaged_line_is_left_out(log: Path) -> None:
    log.write_bytes(line(0) + b'{"log":"hal\x00\n' + b"\n" + line(1) + b'{"log":"unfin')
    assert texts(log) == numbers(0, 2)
    assert texts(log, tail=1) == numbers(1, 2)


def test_frames_timestamps_and_details() -> None:
    entries = [
        Entry("out\n", "stdout", "2023-11-14T22:13:20.5Z"),
        Entry("é", "stderr", "2023-11-14T22:13:21Z"),
    ]
    assert encode(entries, Wanted()) == (
        b"\x01\0\0\0\0\0\0\x04out\n" + b"\x02\0\0\0\0\0\0\x02" + "é".encode()
    )
    assert encode(entries, Wanted(framed=False)) == "out\né".encode()
    assert encode(entries[:1], Wanted(framed=False, timestamps=True, details=True)) == (
        b"2023-11-14T22:13:20.500000000Z  out\n"
    )


async def followed(log: Path, act: Callable[[], Awaitable[None]], **wanted: object) -> list[str]:
    ended: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    reading = asyncio.ensure_future(collect(log, Wanted(**wanted), ended))  # type: ignore[arg-type]
    await asyncio.sleep(0.02)
    await act()
    ended.set_result(0)
    return await reading


def test_following_gives_everything_written_before_the_end(log: Path) -> None:
    async def act() -> None:
        write(log, range(5, 8))
        await asyncio.sleep(0.02)
        write(log, range(8, 10))

    write(log, range(5))
    assert asyncio.run(followed(log, act)) == numbers(0, 10)


def test_following_a_log_that_is_not_there_yet(log: Path) -> None:
    async def act() -> None:
        write(log, range(3))

    assert asyncio.run(followed(log, act)) == numbers(0, 3)


def test_following_joins_a_line_written_in_pieces(log: Path) -> None:
    async def act() -> None:
        whole = line(0)
        for part in (whole[:10], whole[10:]):
            with log.open("ab") as file:
                file.write(part)
            await asyncio.sleep(0.02)

    assert asyncio.run(followed(log, act)) == numbers(0, 1)


@pytest.mark.parametrize("pause", [0, 0.01])
def test_following_misses_nothing_of_a_log_that_is_rotated(log: Path, pause: float) -> None:
    async def act() -> None:
        for start in range(1, 8):
            rotate(log)
            write(log, range(start * 5, start * 5 + 5))
            await asyncio.sleep(pause)

    write(log, range(5))
    assert asyncio.run(followed(log, act, tail=2)) == numbers(3, 40)


def test_following_ends_at_until(log: Path) -> None:
    write(log, range(10))

    async def follow() -> list[str]:
        never: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        return await collect(log, Wanted(until=(T0 + 2) * SECOND), never)

    assert asyncio.run(follow()) == numbers(0, 2)


def test_following_leaves_no_descriptor_when_it_is_given_up(log: Path) -> None:
    write(log, range(1))

    async def give_up() -> None:
        never: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(collect(log, Wanted(), never))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())  # whatever asyncio opens itself once
    before = set(os.listdir("/proc/self/fd"))
    asyncio.run(give_up())
    assert set(os.listdir("/proc/self/fd")) == before


def test_reading_a_large_log_lets_others_run(log: Path) -> None:
    with log.open("wb") as file:
        file.write(b"".join(line(number) for number in range(50_000)))

    async def count_turns() -> int:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.ensure_future(others())
        assert len(await collect(log, Wanted())) == 50_000
        task.cancel()
        return turns

    assert asyncio.run(count_turns()) > 20
