"""What a container costs while nothing happens."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from box import Box, Container

MEGABYTE = 1_000_000


def private_bytes(pid: int) -> int:
    """Memory that only this process has, and its page tables; proc_pid_smaps(5)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    wanted = ("Private_Clean:", "Private_Dirty:", "VmPTE:")
    found = [line for line in rollup + status if line.startswith(wanted)]
    assert len(found) == len(wanted)
    return sum(int(line.split()[1]) * 1024 for line in found)


def wakeups(pid: int) -> int:
    """How often a process has run; proc_pid_status(5)."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in status if "ctxt_switches" in line)


async def leave(container: Container) -> None:
    await container.shim.signal(9)
    await container.ended()
    await container.client.rest()


def test_a_shim_costs_less_than_four_megabytes(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            containers = [await box.start(launcher, "exec sleep 1000") for _ in range(3)]
            for container in containers:
                await container.shim.files().stat("/")  # it has settled once it serves
                assert private_bytes(container.shim.shim) < 4 * MEGABYTE
            for container in containers:
                await leave(container)

    asyncio.run(scenario())


def test_an_idle_shim_never_wakes_up(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "exec sleep 1000")
            await container.shim.files().stat("/")
            time.sleep(0.3)  # the worker of that is reaped
            before = wakeups(container.shim.shim)
            time.sleep(1)
            assert wakeups(container.shim.shim) == before
            await leave(container)

    asyncio.run(scenario())
