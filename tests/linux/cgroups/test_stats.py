"""What a group has used."""

from __future__ import annotations

import os
import time

import pytest

pytestmark = pytest.mark.root

MEBIBYTE = 1 << 20


def test_cpu_time_is_counted(make_group, inside):
    group = make_group()

    def burn() -> None:
        deadline = time.process_time() + 0.2
        while time.process_time() < deadline:
            pass

    assert inside(group, burn).wait() == 0
    cpu = group.stats().cpu
    assert cpu.usage >= 150_000_000
    assert cpu.user > 0
    assert cpu.user + cpu.system <= cpu.usage * 1.5
    if "cpuacct" in group.directories:
        assert abs(sum(cpu.per_cpu) - cpu.usage) < cpu.usage / 2
    else:
        assert cpu.per_cpu is None


def test_memory_and_tasks_are_counted(make_group, inside):
    group = make_group()
    reader, writer = os.pipe()

    def hold() -> None:
        taken = bytearray(os.urandom(20 * MEBIBYTE))
        os.write(writer, b"!")
        time.sleep(30)
        del taken

    inside(group, hold)
    os.read(reader, 1)
    os.close(reader)
    os.close(writer)
    stats = group.stats()
    assert stats.pids.current == 1
    assert stats.pids.limit is None
    assert 15 * MEBIBYTE < stats.memory.usage < 200 * MEBIBYTE
    assert stats.memory.limit is None
    assert 0 < stats.memory.working_set <= stats.memory.usage
    assert stats.memory.stat.get("rss", stats.memory.stat.get("anon", 0)) > 15 * MEBIBYTE


def test_block_devices_are_counted(make_group, inside, tmp_path, trees):
    if not trees.has("io"):
        pytest.skip("There is no controller for block devices here.")
    if not on_a_disk(tmp_path):
        pytest.skip("The temporary folder is not on a disk.")
    group = make_group()

    def write() -> None:
        fd = os.open(tmp_path / "data", os.O_CREAT | os.O_WRONLY, 0o600)
        os.write(fd, os.urandom(MEBIBYTE))
        os.fsync(fd)

    assert inside(group, write).wait() == 0
    stats = group.stats()
    assert sum(entry.value for entry in stats.io_bytes if entry.op == "write") >= MEBIBYTE
    assert sum(entry.value for entry in stats.io_operations if entry.op == "write") > 0
    assert all(entry.major > 0 for entry in stats.io_bytes)


def on_a_disk(folder) -> bool:
    device = os.stat(folder).st_dev
    return os.path.exists(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")


def test_pressure_is_counted_where_there_is_a_v2_tree(make_group, inside, trees):
    group = make_group()
    pressure = group.pressure()
    if trees.unified is None or not os.path.exists("/proc/pressure/cpu"):
        assert pressure is None
        return
    assert set(pressure) == {"cpu", "memory", "io"}

    def compete() -> None:
        children = []
        for _ in range(4 * (os.cpu_count() or 1)):
            pid = os.fork()
            if pid == 0:
                deadline = time.monotonic() + 0.5
                while time.monotonic() < deadline:
                    pass
                os._exit(0)
            children.append(pid)
        for pid in children:
            os.waitpid(pid, 0)

    assert inside(group, compete).wait() == 0
    assert group.pressure()["cpu"].some.total > pressure["cpu"].some.total
