"""Attached sessions: terminals, detaching, several clients, and input that ends."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from box import AS_ROOT, Box, Client, Container, make_config

from cellcrate_runtime.engine import protocol
from cellcrate_runtime.engine.shim_client import ShimError


async def attach(container: Container, attachment: protocol.Attachment | None = None) -> Client:
    here, there = socket.socketpair()
    with there:
        await container.shim.attach(there.fileno(), attachment or protocol.Attachment(stdin=True))
    return Client(here)


def test_input_passes_and_ends_with_its_client(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "cat; echo end", open_stdin=True, stdin_once=True)
            await container.client.send(b"hello\n", end=True)
            assert await container.client.output() == "hello\nend\n"
            await container.ended()

    asyncio.run(scenario())


def test_without_open_input_there_is_none(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "cat; echo end")
            assert await container.client.output() == "end\n"
            await container.ended()

    asyncio.run(scenario())


def test_a_terminal(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(
                launcher,
                "tty; stty size; read a; stty size; echo got $a; exit 4",
                config=make_config(tty=True),
                open_stdin=True,
            )
            assert b"/dev/pts/0\r\n" in await container.client.until(b"0 0\r\n")
            await container.shim.resize(100, 30)
            await container.client.send(b"word\r")
            assert await container.client.rest() == b"word\r\n30 100\r\ngot word\r\n"
            assert (await container.ended()).exit_code == 4

    asyncio.run(scenario())


def test_ctrl_c_reaches_the_program(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(
                launcher,
                "trap 'echo interrupted; exit 7' INT; echo ready; while :; do sleep 0.1; done",
                config=make_config(tty=True),
                open_stdin=True,
            )
            await container.client.until(b"ready")
            await container.client.send(b"\x03")
            await container.client.until(b"interrupted")
            assert (await container.ended()).exit_code == 7
            await container.client.rest()

    asyncio.run(scenario())


def test_detaching_tells_the_engine_and_attaching_again_works(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(
                launcher, "read a; echo got $a", config=make_config(tty=True), open_stdin=True
            )
            detached: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            container.shim.on_detach = detached.set_result
            await container.client.send(b"\x10\x11")
            assert await container.client.rest() == b""
            assert await detached == ""
            again = await attach(container)
            await again.send(b"me\r")
            assert await again.rest() == b"me\r\ngot me\r\n"
            await container.ended()

    asyncio.run(scenario())


def test_two_clients_see_the_same(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "read a; echo got $a", open_stdin=True)
            second = await attach(container, protocol.Attachment(stdin=True, initial_input=b"x\n"))
            assert await second.output() == "got x\n"
            assert await container.client.output() == "got x\n"
            await container.ended()

    asyncio.run(scenario())


def test_input_can_be_closed_by_the_engine(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "cat; echo end", open_stdin=True)
            await container.client.send(b"text\n")
            await container.client.until(b"text")
            await container.shim.close_stdin()
            assert await container.client.output() == "end\n"
            await container.ended()

    asyncio.run(scenario())


def test_a_size_without_a_terminal_is_refused(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "read a", open_stdin=True)
            with pytest.raises(ShimError) as raised:
                await container.shim.resize(1, 1)
            assert raised.value.kind == "conflict"
            await container.client.send(b"\n")
            await container.ended()
            await container.client.rest()

    asyncio.run(scenario())


def test_a_program_has_three_descriptors(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(
                launcher, "for n in $(seq 3 50); do [ -e /proc/1/fd/$n ] && echo $n; done"
            )
            assert await container.client.output() == ""
            await container.ended()

    asyncio.run(scenario())


@pytest.mark.skipif(not AS_ROOT, reason="only root may look at a small init's descriptors")
def test_no_descriptor_of_the_shim_is_the_small_inits(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "exec sleep 1000", init=True)
            assert set(os.listdir(f"/proc/{container.shim.pid}/fd")) == {"0", "1", "2"}
            await container.shim.signal(9)
            await container.ended()
            await container.client.rest()

    asyncio.run(scenario())
