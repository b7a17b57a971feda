"""Control groups that are made before anybody asks for the container."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from box import PATIENCE, Box, Container, make_config

from cellcrate_runtime.engine.launcher_client import Launcher
from cellcrate_runtime.engine.protocol import Launch
from cellcrate_runtime.engine.shim.ready import group_path
from cellcrate_runtime.engine.shim_client import LaunchError
from cellcrate_runtime.linux.cgroups import (
    Cgroup,
    CgroupNotFoundError,
    Resources,
    hierarchy,
)
from cellcrate_runtime.linux.cgroups.resources import Pids

pytestmark = pytest.mark.skipif(not hierarchy().writable, reason="there are no groups to be had")


async def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.01)


def processes(container_id: str) -> list[int]:
    """Who is in a container's group."""
    try:
        return Cgroup.open(group_path(container_id)).procs()
    except CgroupNotFoundError:
        return []


def is_gone(container_id: str) -> bool:
    try:
        Cgroup.open(group_path(container_id))
    except CgroupNotFoundError:
        return True
    return False


def kept_ready(box: Box) -> list[str]:
    """The ids of the containers for which there is a group in advance."""
    return [path.name for path in (box.run_dir / "ready").glob("*")]


@asynccontextmanager
async def waiting(box: Box) -> AsyncIterator[tuple[Launcher, str, int]]:
    """A launcher, the id for which it is ready, and the process that waits in the group."""
    async with box.launcher() as launcher:
        upcoming = launcher.upcoming_id()
        await eventually(lambda: len(processes(upcoming)) == 1, "nobody waits in the group")
        yield launcher, upcoming, processes(upcoming)[0]
    await eventually(lambda: kept_ready(box) == [], "a folder is left")


def request(box: Box, container_id: str, *args: str, limits: Resources | None = None) -> Launch:
    config = make_config(resources=limits)
    assert config.process is not None
    config.process.args = list(args)
    launch = box.request(config)
    launch.container_id = container_id
    launch.run_dir = str(box.run_dir / "c" / container_id[:12])
    file = Path(launch.bundle) / "config.json"
    document = json.loads(file.read_text())
    document["linux"]["cgroupsPath"] = group_path(container_id)
    file.write_text(json.dumps(document))
    box.cgroups.append(group_path(container_id))
    return launch


async def start(box: Box, launcher: Launcher, container_id: str, *args: str) -> Container:
    return await box.launch(launcher, request(box, container_id, *args))


def test_the_next_container_finds_its_group_and_first_process(box: Box) -> None:
    async def scenario() -> None:
        async with waiting(box) as (launcher, upcoming, waits):
            limits = Resources(pids=Pids(limit=7))
            container = await box.launch(
                launcher, request(box, upcoming, "sleep", "99", limits=limits)
            )
            assert container.shim.pid == waits
            assert processes(upcoming) == [waits]
            assert Cgroup.open(group_path(upcoming)).stats().pids.limit == 7
            assert upcoming not in kept_ready(box)
            following = launcher.upcoming_id()
            await eventually(lambda: len(processes(following)) == 1, "it is not ready again")
            os.kill(container.shim.pid, signal.SIGKILL)
            await container.ended()
            assert is_gone(upcoming)
        assert is_gone(following)

    asyncio.run(scenario())


def test_each_id_is_given_out_once(box: Box) -> None:
    async def scenario() -> None:
        async with waiting(box) as (launcher, upcoming, _):
            assert launcher.upcoming_id() not in (upcoming, launcher.upcoming_id())

    asyncio.run(scenario())


def test_another_container_starts_in_a_group_of_its_own(box: Box) -> None:
    async def scenario() -> None:
        async with waiting(box) as (launcher, upcoming, _):
            other = await start(box, launcher, "ab" * 32, "cat", "/proc/self/cgroup")
            assert "/ab" not in await other.client.output()  # its group is its root
            await other.ended()
            await eventually(lambda: is_gone(upcoming), "the one that nobody took is still there")

    asyncio.run(scenario())


def test_a_start_that_fails_leaves_nothing(box: Box) -> None:
    async def scenario() -> None:
        async with waiting(box) as (launcher, upcoming, _):
            with pytest.raises(LaunchError):
                await start(box, launcher, upcoming, "/no/such/program")
            assert is_gone(upcoming)
            assert upcoming not in kept_ready(box)

    asyncio.run(scenario())


def test_work_on_files_does_not_use_it_up(box: Box) -> None:
    async def scenario() -> None:
        async with waiting(box) as (launcher, upcoming, waits):
            folder = box.home / "folder"
            folder.mkdir()
            await launcher.remove_trees(folder)
            await eventually(
                lambda: len(now := processes(upcoming)) == 1 and now != [waits],
                "nobody waits there again",
            )
            container = await start(box, launcher, upcoming, "true")
            await container.ended()

    asyncio.run(scenario())


@pytest.mark.parametrize("goes_on", [True, False])
def test_what_a_killed_launcher_had_ready_is_removed(box: Box, goes_on: bool) -> None:
    async def scenario() -> None:
        async with waiting(box) as (launcher, upcoming, _):
            assert launcher.pid is not None
            os.kill(launcher.pid, signal.SIGKILL)
            await eventually(lambda: launcher.pid is None, "the launcher does not die")
            if goes_on:
                container = await start(box, launcher, "ab" * 32, "true")
                await container.ended()
                await eventually(lambda: is_gone(upcoming), "it is still there")
        assert is_gone(upcoming)

    asyncio.run(scenario())


def test_a_container_that_was_not_started_keeps_its_id(box: Box) -> None:
    """The launcher is ready for the one after it, and the id can still be used."""

    async def scenario() -> None:
        async with waiting(box) as (launcher, upcoming, _):
            await (await start(box, launcher, "ab" * 32, "true")).ended()
            await eventually(lambda: is_gone(upcoming), "the one that nobody took is still there")
            container = await start(box, launcher, upcoming, "sh", "-c", "echo fine")
            assert await container.client.output() == "fine\n"
            await container.ended()

    asyncio.run(scenario())
