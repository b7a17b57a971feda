"""What holds when a part of the machinery is killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

import pytest
from box import AS_ROOT, PATIENCE, Box, Container, make_config

from cellcrate_runtime.engine import launcher_client
from cellcrate_runtime.engine.shim import leftovers, run_folder
from cellcrate_runtime.engine.shim_client import (
    LaunchError,
    ShimConnection,
    ShimGoneError,
    read_exit_file,
)
from cellcrate_runtime.linux.cgroups import Resources, hierarchy
from cellcrate_runtime.linux.cgroups.resources import Memory
from cellcrate_runtime.oci.spec import Process, Spec


def sleeping(seconds: float) -> Spec:
    """A container that does nothing for so long."""
    config = make_config()
    assert config.process is not None
    config.process.args = ["sleep", str(seconds)]
    return config


async def gone(pid: int) -> None:
    """Wait until there is no process of this id, or only its remains."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                    return
            except (FileNotFoundError, ProcessLookupError):
                return
            await asyncio.sleep(0.01)


async def spare_of(launcher: int) -> int:
    """The process that is ready to become the next shim."""
    async with asyncio.timeout(PATIENCE):
        while True:
            children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
            if children:
                return int(children[-1])
            await asyncio.sleep(0.01)


def test_the_engine_dies_and_another_finds_container_session_and_exec(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "read a; echo got $a; exit 3", open_stdin=True)
            await container.shim.execute(
                "short", Process(cwd="/", args=["/bin/sh", "-c", "sleep 0.2; exit 4"])
            )
            await container.shim.execute("long", Process(cwd="/", args=["/bin/sleep", "1000"]))
            old = container.shim
            old.close()
        run_dir = Path(container.request.run_dir)
        await asyncio.sleep(0.4)  # the short exec ends while nobody is there
        shim = await ShimConnection.reconnect(run_dir)
        ended = asyncio.get_running_loop().create_future()
        shim.on_exec_exit = lambda *how: ended.done() or ended.set_result(how)
        assert (shim.shim, shim.pid, shim.started_at) == (old.shim, old.pid, old.started_at)
        assert list(shim.execs) == ["long"]
        assert await ended == ("short", 4)
        await container.client.send(b"through\n")
        assert await container.client.output() == "got through\n"
        assert (await shim.exited).exit_code == 3
        await shim.closed

    asyncio.run(scenario())


def test_a_run_folder_may_have_a_longer_path_than_a_socket(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            request = box.request(sleeping(0.5))
            run_dir = box.run_dir / ("long" * 30) / "c" / "container"
            request.run_dir = str(run_dir)
            container = await box.launch(launcher, request)
            container.shim.close()
            shim = await ShimConnection.reconnect(run_dir)
            await shim.exited
            await shim.closed
            await container.client.rest()
            assert not run_dir.exists()

    asyncio.run(scenario())


def test_a_container_that_ends_while_no_engine_is_there_leaves_its_status(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "read a; echo last; exit 9", open_stdin=True)
            container.shim.close()
        await container.client.send(b"\n")
        assert await container.client.output() == "last\n"
        with contextlib.suppress(ShimGoneError):
            shim = await ShimConnection.reconnect(Path(container.request.run_dir))
            await shim.closed  # it was still leaving
        record = read_exit_file(Path(container.request.exit_file))
        assert record is not None
        assert record.exit_code == 9
        assert container.log == "last\n"

    asyncio.run(scenario())


def test_the_launcher_is_killed_and_containers_go_on(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            first = await box.start(launcher, "read a; echo first $a", open_stdin=True)
            old = launcher.pid
            assert old is not None
            os.kill(old, signal.SIGKILL)
            while launcher.pid is not None:
                await asyncio.sleep(0.01)
            second = await box.start(launcher, "read a; echo second $a", open_stdin=True)
            assert launcher.pid not in (None, old)
            for container, name in ((first, "first"), (second, "second")):
                await container.client.send(b"here\n")
                assert await container.client.output() == f"{name} here\n"
                await container.ended()

    asyncio.run(scenario())


@pytest.mark.skipif(AS_ROOT, reason="root's launchers need no user namespace")
def test_a_new_launcher_joins_the_user_namespace_of_living_containers(box: Box) -> None:
    async def scenario() -> None:
        containers = []
        for _ in range(2):
            async with box.launcher() as launcher:
                containers.append(await box.start(launcher, "exec sleep 1000"))
                await findable(containers[-1])
        spaces = {os.readlink(f"/proc/{one.shim.shim}/ns/user") for one in containers}
        assert len(spaces) == 1
        for container in containers:
            await leave(container)

    asyncio.run(scenario())


def test_a_request_that_a_killed_launcher_had_not_served_fails(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            await (await box.start(launcher, "true")).ended()  # it is up now
            old = launcher.pid
            assert old is not None
            spare = await spare_of(old)
            for pid in (old, spare):
                os.kill(pid, signal.SIGSTOP)
            waiting = asyncio.ensure_future(box.start(launcher, "true"))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            for pid in (old, spare):
                os.kill(pid, signal.SIGKILL)
            with pytest.raises(LaunchError) as raised:
                await waiting
            assert raised.value.kind == "gone"
            while launcher.pid is not None:
                await asyncio.sleep(0.01)
            container = await box.start(launcher, "echo again")
            assert await container.client.output() == "again\n"
            await container.ended()

    asyncio.run(scenario())


def test_a_spare_that_is_killed_is_replaced(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            await (await box.start(launcher, "true")).ended()
            assert launcher.pid is not None
            for _ in range(2):
                spare = await spare_of(launcher.pid)
                os.kill(spare, signal.SIGKILL)
                await gone(spare)
            container = await box.start(launcher, "echo still here")
            assert await container.client.output() == "still here\n"
            await container.ended()

    asyncio.run(scenario())


def test_a_launcher_killed_right_after_the_request_leaves_all_or_nothing(box: Box) -> None:
    async def scenario() -> None:
        for delay in range(8):
            async with box.launcher() as launcher:
                await (await box.start(launcher, "true")).ended()
                starting = asyncio.ensure_future(box.start(launcher, "exit 2"))
                await asyncio.sleep(delay / 1000)
                assert launcher.pid is not None
                os.kill(launcher.pid, signal.SIGKILL)
                try:
                    container = await starting
                except LaunchError:
                    continue
                assert (await container.ended()).exit_code == 2
                await container.client.rest()

    asyncio.run(scenario())


@pytest.mark.parametrize("init", [False, True])
def test_the_shim_is_killed_and_the_container_with_it(box: Box, init: bool) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "sleep 1000 & echo $!; wait", init=init)
            await container.client.until(b"\n")
            os.kill(container.shim.shim, signal.SIGKILL)
            record = await container.ended()
            assert record.exit_code == 137
            assert "killed" in record.error
            await gone(container.shim.pid)
            run_dir = Path(container.request.run_dir)
            with pytest.raises(ShimGoneError):
                await ShimConnection.reconnect(run_dir)
            assert run_dir.exists()
            leftovers.clear(run_dir)
            leftovers.clear(run_dir)
            await container.client.rest()

    asyncio.run(scenario())


def test_what_a_living_shim_holds_is_not_cleared(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "read a", open_stdin=True)
            run_dir = Path(container.request.run_dir)
            with pytest.raises(leftovers.ShimAliveError):
                leftovers.clear(run_dir)
            await findable(container)
            await container.client.send(b"\n")
            assert (await container.ended()).exit_code == 0
            await container.client.rest()

    asyncio.run(scenario())


def test_a_launcher_that_hangs_keeps_no_engine_from_leaving(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher_client, "_PATIENCE", 0.1)

    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "exec sleep 1000")
            await leave(container)
            assert launcher.pid is not None
            os.kill(launcher.pid, signal.SIGSTOP)
            async with asyncio.timeout(PATIENCE):
                await launcher.close()
            assert launcher.pid is None

    asyncio.run(scenario())


async def findable(container: Container) -> None:
    """Wait until an engine that was restarted would find the container."""
    async with asyncio.timeout(PATIENCE):
        while run_folder.read_state(Path(container.request.run_dir)) is None:
            await asyncio.sleep(0.01)


async def leave(container: Container) -> None:
    await container.shim.signal(9)
    await container.ended()
    await container.client.rest()


def test_strangers_are_refused_at_the_shims_socket(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "exec sleep 1000")
            await findable(container)
            path = Path(container.request.run_dir, run_folder.SOCKET)
            assert path.stat().st_mode & 0o777 == 0o600
            assert path.parent.stat().st_mode & 0o777 == 0o700
            if AS_ROOT:
                path.parent.chmod(0o755)
                path.chmod(0o666)
                for folder in (box.run_dir, box.run_dir / "c", box.home):
                    folder.chmod(0o755)
                pid = os.fork()
                if not pid:
                    os.setresuid(65534, 65534, 65534)
                    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
                        stranger.connect(os.fspath(path))
                        os._exit(len(stranger.recv(100)))
                assert os.waitpid(pid, 0)[1] == 0, "a stranger was answered"
            await leave(container)

    asyncio.run(scenario())


def test_what_shares_the_hosts_process_ids_is_ended_too(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            config = make_config()
            assert config.linux is not None
            config.linux.namespaces = [n for n in config.linux.namespaces if n.type != "pid"]
            config.mounts = [m for m in config.mounts if m.destination != "/proc"]
            container = await box.start(
                launcher,
                "(setsid sleep 1000 & echo $!) ; (setsid sh -c 'sleep 0.1' &); sleep 0.3",
                config=config,
            )
            orphan = int((await container.client.until(b"\n"))[8:])
            assert Path(f"/proc/{orphan}").exists()
            assert (await container.ended()).exit_code == 0
            await gone(orphan)
            await container.client.rest()

    asyncio.run(scenario())


@pytest.mark.skipif(
    not hierarchy().has("memory"), reason="there is no memory controller for this user"
)
def test_running_out_of_memory_is_told(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            limit = 32 * 1024 * 1024
            config = make_config(resources=Resources(memory=Memory(limit=limit, swap=limit)))
            told = asyncio.get_running_loop().create_future()
            container = await box.start(
                launcher,
                "read a; x=$(head -c 200m /dev/zero | tail -c 100m | tr '\\0' x)",
                config=config,
                open_stdin=True,
            )
            container.shim.on_oom = lambda: told.done() or told.set_result(None)
            await container.client.send(b"\n")
            record = await container.ended()
            assert record.oom_killed
            assert told.done()
            await container.client.rest()

    asyncio.run(scenario())
