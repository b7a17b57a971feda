"""What a container uses, as `docker stats` computes with it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from cellcrate_runtime.engine import network_counters, stats
from cellcrate_runtime.linux.cgroups import Cgroup
from cellcrate_runtime.linux.cgroups.resources import Memory, Pids, Resources

IDENTITY = {"id": "ab" * 32, "name": "/web"}
NO_CGROUP = "/cellcrate/of-no-container"
MIB = 1024 * 1024

BUSY = "import time; block = bytearray(64 << 20); print(flush=True)\nwhile True: pass"


def cpu_percent(document: dict[str, Any]) -> float:
    """Compute what the docker command shows in the column CPU %."""
    now, before = document["cpu_stats"], document["precpu_stats"]
    used = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    passed = now["system_cpu_usage"] - before["system_cpu_usage"]
    return float(used / passed * now["online_cpus"] * 100)


@pytest.fixture
def busy() -> Iterator[int]:
    """A process that keeps a processor and 64 MiB of memory busy."""
    with subprocess.Popen(["python3", "-c", BUSY], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def two_samples(pid: int, cgroup: str) -> dict[str, Any]:
    before = stats.take(pid, cgroup)
    time.sleep(0.3)
    return stats.document(IDENTITY, stats.take(pid, cgroup), before)


def check_busy(document: dict[str, Any]) -> None:
    assert document["id"] == IDENTITY["id"]
    # What share it gets depends on what else this computer does; it cannot be more than one CPU
    # by more than the clock's tick, nor next to nothing.
    assert 5 < cpu_percent(document) < 115
    assert document["memory_stats"]["usage"] > 60 * MIB


def test_processes_without_a_cgroup_are_added_up(busy: int) -> None:
    document = two_samples(busy, NO_CGROUP)
    check_busy(document)
    assert document["memory_stats"]["limit"] == psutil.virtual_memory().total
    assert document["pids_stats"]["current"] == 1
    assert {entry.op for entry in document["blkio_stats"]["io_service_bytes_recursive"]} == {
        "read",
        "write",
    }


@pytest.mark.root
def test_a_cgroup_knows_more(busy: int) -> None:
    limits = Resources(memory=Memory(limit=256 * MIB), pids=Pids(limit=17))
    cgroup = Cgroup.create(f"/cellcrate/test-stats-{os.getpid()}", limits)
    try:
        cgroup.add(busy)
        document = two_samples(busy, cgroup.path)
        assert 5 < cpu_percent(document) < 115
        assert document["memory_stats"]["limit"] == 256 * MIB
        # Either name is what the docker command takes away as cache, by the cgroup's version.
        assert {"total_inactive_file", "inactive_file"} & set(document["memory_stats"]["stats"])
        assert document["pids_stats"] == {"current": 1, "limit": 17}
    finally:
        psutil.Process(busy).kill()
        cgroup.kill()
        cgroup.delete()


def test_the_first_sample_has_none_before_it(busy: int) -> None:
    document = stats.document(IDENTITY, stats.take(busy, NO_CGROUP), None)
    assert document["preread"] == "0001-01-01T00:00:00Z"
    assert document["precpu_stats"]["cpu_usage"]["total_usage"] == 0


def test_a_container_that_does_not_run_uses_nothing() -> None:
    document = stats.empty_document(IDENTITY)
    assert document["read"] == "0001-01-01T00:00:00Z"
    assert document["memory_stats"] == {}


def test_the_hosts_network_is_not_the_containers() -> None:
    assert network_counters.interfaces(os.getpid()) == {}


def test_the_counters_of_each_interface() -> None:
    table = (
        "Inter-|   Receive                   |  Transmit\n"
        " face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop\n"
        "    lo:  100 1 0 0 0 0 0 0  100 1 0 0 0 0 0 0\n"
        "  eth0: 1234 5 6 7 0 0 0 0 4321 8 9 10 0 0 0 0\n"
    )
    assert network_counters.parse(table) == {
        "eth0": {
            "rx_bytes": 1234,
            "rx_packets": 5,
            "rx_errors": 6,
            "rx_dropped": 7,
            "tx_bytes": 4321,
            "tx_packets": 8,
            "tx_errors": 9,
            "tx_dropped": 10,
        }
    }
