"""Further programs in a running container."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from box import PATIENCE, Box, Client, Container

from cellcrate_runtime.engine import protocol
from cellcrate_runtime.engine.shim_client import ShimError
from cellcrate_runtime.oci.spec import Process


@asynccontextmanager
async def running(box: Box) -> AsyncIterator[Container]:
    """A container that waits, and is killed at the end."""
    async with box.launcher() as launcher:
        container = await box.start(launcher, "exec sleep 1000")
        yield container
        await container.shim.signal(9)
        assert (await container.ended()).exit_code == 137
        await container.client.rest()


class Exec:
    """One exec and its client."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.ended: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
        container.shim.on_exec_exit = lambda *how: self.ended.set_result(how)

    async def start(
        self,
        *args: str,
        tty: bool = False,
        stdin: bool = False,
        user: str = "",
        attached: bool = True,
    ) -> Client:
        here, there = socket.socketpair()
        env = ["PATH=/usr/bin:/bin"]
        with there, contextlib.ExitStack() as unless_started:
            unless_started.callback(here.close)
            self.pid = await self.container.shim.execute(
                "the-exec",
                Process(cwd="/", args=list(args), env=env, terminal=tty),
                user=user,
                client=there.fileno() if attached else None,
                attachment=protocol.Attachment(stdin=stdin) if attached else None,
                open_stdin=stdin,
            )
            unless_started.pop_all()
        return Client(here)

    async def exit_code(self) -> int:
        async with asyncio.timeout(PATIENCE):
            name, code = await self.ended
        assert name == "the-exec"
        return code


def test_a_program_runs_beside_the_first(box: Box) -> None:
    async def scenario() -> None:
        async with running(box) as container:
            one = Exec(container)
            client = await one.start("/bin/sh", "-c", "hostname; cat /proc/1/comm; exit 5")
            assert await client.output() == "box\nsleep\n"
            assert await one.exit_code() == 5
            assert container.shim.execs == {}
            assert container.log == ""

    asyncio.run(scenario())


def test_input_reaches_it(box: Box) -> None:
    async def scenario() -> None:
        async with running(box) as container:
            one = Exec(container)
            client = await one.start("cat", stdin=True)
            await client.send(b"x" * 300_000, end=True)
            assert await client.output() == "x" * 300_000
            assert await one.exit_code() == 0

    asyncio.run(scenario())


def test_it_may_have_a_terminal(box: Box) -> None:
    async def scenario() -> None:
        async with running(box) as container:
            one = Exec(container)
            client = await one.start(
                "/bin/sh", "-c", "tty; read a; stty size", tty=True, stdin=True
            )
            assert b"/dev/pts/" in await client.until(b"\r\n")
            await container.shim.resize(90, 20, "the-exec")
            await client.send(b"\r")
            assert (await client.rest()).endswith(b"20 90\r\n")
            assert await one.exit_code() == 0
            with pytest.raises(ShimError) as raised:
                await container.shim.resize(1, 1, "the-exec")
            assert raised.value.kind == "conflict"

    asyncio.run(scenario())


def test_it_may_run_on_its_own(box: Box) -> None:
    async def scenario() -> None:
        async with running(box) as container:
            one = Exec(container)
            client = await one.start(
                "/bin/sh", "-c", "echo nobody hears; sleep 0.1; exit 6", attached=False
            )
            assert container.shim.execs == {"the-exec": one.pid}
            assert await client.rest() == b""
            assert await one.exit_code() == 6

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("args", "kind"),
    [
        (["/no/such/program"], "not_found"),
        (["no-such-command"], "not_found"),
        (["/etc/passwd"], "not_executable"),
    ],
)
@pytest.mark.parametrize("tty", [False, True])
def test_what_cannot_be_executed_is_said_and_the_client_is_still_ours(
    box: Box, args: list[str], kind: str, tty: bool
) -> None:
    async def scenario() -> None:
        async with running(box) as container:
            here, there = socket.socketpair()
            with there, here:
                with pytest.raises(ShimError) as raised:
                    await container.shim.execute(
                        "x",
                        Process(cwd="/", args=args, terminal=tty),
                        client=there.fileno(),
                        attachment=protocol.Attachment(),
                    )
                assert raised.value.kind == kind
                assert args[0] in raised.value.message
                there.sendall(b"an error for people")  # as the engine does after its 101
                assert here.recv(100) == b"an error for people"

    asyncio.run(scenario())


def test_an_unknown_user_is_said(box: Box) -> None:
    async def scenario() -> None:
        async with running(box) as container:
            with pytest.raises(ShimError, match="no-such-user") as raised:
                await Exec(container).start("true", user="no-such-user")
            assert raised.value.kind == "invalid"

    asyncio.run(scenario())


def test_execs_end_with_the_container(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "exec sleep 1000")
            one = Exec(container)
            client = await one.start("/bin/sh", "-c", "echo ready; sleep 1000")
            await client.until(b"ready")
            await container.shim.signal(9)
            assert await one.exit_code() == 137
            await container.ended()
            await client.rest()
            with pytest.raises(ShimError) as raised:
                await Exec(container).start("true")
            assert raised.value.kind == "gone"

    asyncio.run(scenario())
