"""Work in threads that is fed by the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pytest

from cellcrate_runtime.engine.own_threads import Fed, entered, feed


def length(source: BinaryIO) -> int:
    return len(source.read())


async def pieces(count: int, error: Exception | None = None) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(100_000)
    if error is not None:
        raise error


def test_work_reads_what_it_is_fed() -> None:
    assert asyncio.run(feed(pieces(20), length)) == 2_000_000
    assert asyncio.run(feed(pieces(0), length)) == 0


def test_work_that_wants_no_more_does_not_block_its_feeder() -> None:
    assert asyncio.run(feed(pieces(20), lambda source: len(source.read(10)))) == 10


def test_what_is_wrong_with_the_work_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(feed(pieces(20), lambda _: 1 // 0))


def test_half_a_stream_is_never_taken_for_a_whole_one() -> None:
    seen: list[object] = []

    def work(source: BinaryIO) -> None:
        try:
            seen.append(len(source.read()))
        except OSError as error:
            seen.append(error)

    with pytest.raises(ValueError, match="broke off"):
        asyncio.run(feed(pieces(3, ValueError("broke off")), work))
    assert isinstance(seen[0], ConnectionAbortedError)

    async def give_up() -> None:
        fed = Fed(length)
        await fed.write(b"half")
        fed.give_up()
        with pytest.raises(ConnectionAbortedError):
            await fed.done

    asyncio.run(give_up())


def test_a_context_is_left_also_by_a_failure() -> None:
    said: list[str] = []

    @contextmanager
    def manager() -> Iterator[int]:
        said.append("in")
        try:
            yield 5
        except KeyError:
            said.append("failed")
            raise
        finally:
            said.append("out")

    async def scenario() -> None:
        async with entered(manager()) as value:
            assert value == 5
        with pytest.raises(KeyError):
            async with entered(manager()):
                raise KeyError

    asyncio.run(scenario())
    assert said == ["in", "out", "in", "failed", "out"]
