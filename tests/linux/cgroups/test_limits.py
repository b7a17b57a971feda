"""Limits, seen from inside: what a process can no longer do."""

from __future__ import annotations

import os
import select
import signal
import time

import pytest

from cellcrate_runtime.linux.cgroups import (
    CgroupError,
    ControllerUnavailableError,
    LimitRefusedError,
    Resources,
    machine,
)
from cellcrate_runtime.linux.cgroups.features import features
from cellcrate_runtime.linux.cgroups.resources import (
    CPU,
    BlockIO,
    HugepageLimit,
    Memory,
    Pids,
    ThrottleDevice,
)

pytestmark = pytest.mark.root

MEBIBYTE = 1 << 20


def sleep() -> None:
    time.sleep(30)


def take_memory(size: int = 1 << 40) -> list[bytearray]:
    """Take memory and use it, until there is none left or enough is taken."""
    taken = []
    while size > 0:
        taken.append(bytearray(MEBIBYTE))
        size -= MEBIBYTE
    return taken


def burn(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pass


def test_who_takes_too_much_memory_is_killed(make_group, inside):
    limit = 24 * MEBIBYTE
    group = make_group(Resources(memory=Memory(limit=limit, swap=2 * limit)))
    assert group.oom_kills() == 0
    member = inside(group, take_memory)
    assert member.wait() == -signal.SIGKILL
    assert group.oom_kills() == 1
    memory = group.stats().memory
    assert memory.limit == limit
    assert memory.oom_kills == 1
    assert memory.fail_count > 0
    if memory.max_usage is not None:
        assert 0 < memory.max_usage <= limit


def test_who_stays_within_the_limit_lives(make_group, inside):
    group = make_group(Resources(memory=Memory(limit=64 * MEBIBYTE)))
    member = inside(group, lambda: take_memory(16 * MEBIBYTE))
    assert member.wait() == 0
    assert group.oom_kills() == 0


def test_the_watch_wakes_up_at_a_kill(make_group, inside):
    limit = 24 * MEBIBYTE
    group = make_group(Resources(memory=Memory(limit=limit, swap=limit)))
    with group.oom_watch() as watch:
        assert select.select([watch], [], [], 0) == ([], [], [])
        member = inside(group, take_memory)
        assert select.select([watch], [], [], 30)[0] == [watch]
        member.wait()
        assert watch.kills() == 1
        deadline = time.monotonic() + 5  # a second event may be on its way
        while select.select([watch], [], [], 0)[0] and time.monotonic() < deadline:
            watch.kills()
        assert select.select([watch], [], [], 0) == ([], [], [])


def test_the_limit_of_memory_rises_and_falls_live(make_group, inside):
    group = make_group(Resources(memory=Memory(limit=32 * MEBIBYTE, swap=32 * MEBIBYTE)))
    # Up: the total of memory and swap has to rise first. Down: memory has to fall first.
    for limit, total in ((128, 128), (64, 96), (48, 48), (256, 512), (40, 40)):
        resources = Resources(memory=Memory(limit=limit * MEBIBYTE, swap=total * MEBIBYTE))
        group.apply(resources)
        assert group.stats().memory.limit == limit * MEBIBYTE
    group.apply(Resources(memory=Memory(limit=-1)))
    assert group.stats().memory.limit is None
    member = inside(group, lambda: take_memory(64 * MEBIBYTE))
    assert member.wait() == 0


def test_a_limit_below_what_is_in_use_is_refused_or_enforced(make_group, inside):
    """cgroup v1 refuses it, saying what is in use; cgroup v2 makes room by a kill."""
    group = make_group(Resources(memory=Memory(limit=128 * MEBIBYTE, swap=128 * MEBIBYTE)))
    reader, writer = os.pipe()

    def hold() -> None:
        taken = take_memory(48 * MEBIBYTE)
        os.write(writer, b"!")
        time.sleep(30)
        del taken

    member = inside(group, hold)
    os.read(reader, 1)
    os.close(reader)
    os.close(writer)
    lower = Resources(memory=Memory(limit=16 * MEBIBYTE))
    if "memory" in group.directories:
        with pytest.raises(LimitRefusedError, match="the group uses"):
            group.apply(lower)
        assert group.stats().memory.limit == 128 * MEBIBYTE
    else:
        group.apply(lower)
        assert member.wait() == -signal.SIGKILL


def test_a_total_below_the_limit_of_memory_is_refused(make_group):
    with pytest.raises(CgroupError):
        make_group(Resources(memory=Memory(limit=64 * MEBIBYTE, swap=32 * MEBIBYTE)))


def test_the_out_of_memory_killer_is_switched_off_and_on(make_group):
    group = make_group(Resources(memory=Memory(limit=64 * MEBIBYTE, disable_oom_killer=True)))
    if "memory" not in group.directories:
        pytest.skip("That is this machine's way: only cgroup v1 has the switch.")
    assert "oom_kill_disable 1" in read(group.directories["memory"], "memory.oom_control")
    group.apply(Resources(memory=Memory(disable_oom_killer=False)))
    assert "oom_kill_disable 0" in read(group.directories["memory"], "memory.oom_control")


def test_the_rest_of_the_memory_limits(make_group):
    memory = Memory(limit=64 * MEBIBYTE, reservation=32 * MEBIBYTE, swappiness=10)
    group = make_group(Resources(memory=memory))
    if "memory" in group.directories:
        directory = group.directories["memory"]
        assert int(read(directory, "memory.soft_limit_in_bytes")) == 32 * MEBIBYTE
        assert int(read(directory, "memory.swappiness")) == 10
    else:
        assert int(read(group.directories[""], "memory.low")) == 32 * MEBIBYTE


def test_a_fork_bomb_meets_the_limit_of_tasks(make_group, inside):
    limit = 12
    group = make_group(Resources(pids=Pids(limit=limit)))

    def bomb() -> None:
        while True:
            try:
                os.fork()
            except BlockingIOError:
                time.sleep(0.01)

    member = inside(group, bomb)
    deadline = time.monotonic() + 30
    while group.stats().pids.refused == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    pids = group.stats().pids
    assert pids.refused > 0
    assert pids.limit == limit
    assert 2 <= pids.current <= limit
    group.kill()
    assert member.wait() == -signal.SIGKILL
    deadline = time.monotonic() + 30
    while group.procs() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert group.procs() == []


def test_the_limit_of_tasks_is_taken_away_live(make_group, inside):
    group = make_group(Resources(pids=Pids(limit=1)))

    def cannot_fork() -> None:
        with pytest.raises(BlockingIOError):
            os.fork()

    assert inside(group, cannot_fork).wait() == 0
    group.apply(Resources(pids=Pids(limit=-1)))
    assert group.stats().pids.limit is None

    def can_fork() -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    assert inside(group, can_fork).wait() == 0


def test_the_quota_holds_a_busy_process_back(make_group, inside):
    group = make_group(Resources(cpu=CPU(quota=20_000, period=100_000)))
    member = inside(group, lambda: burn(1.0))
    assert member.wait() == 0
    cpu = group.stats().cpu
    assert cpu.throttled_periods > 0
    assert cpu.throttled > 0
    assert cpu.periods >= cpu.throttled_periods
    # One second of wanting all of a CPU got about a fifth of it; half would mean no quota.
    assert 0 < cpu.usage < 500_000_000


def test_the_quota_changes_live(make_group, inside):
    group = make_group(Resources(cpu=CPU(quota=10_000, period=100_000)))
    assert inside(group, lambda: burn(0.5)).wait() == 0
    slow = group.stats().cpu.usage
    group.apply(Resources(cpu=CPU(quota=-1)))
    before = group.stats().cpu
    assert inside(group, lambda: burn(0.5)).wait() == 0
    after = group.stats().cpu
    assert after.throttled_periods == before.throttled_periods
    assert after.usage - before.usage > slow


def test_a_period_alone_keeps_the_quota(make_group):
    group = make_group(Resources(cpu=CPU(quota=50_000, period=100_000)))
    group.apply(Resources(cpu=CPU(period=200_000)))
    assert cpu_maximum(group) == (50_000, 200_000)


def cpu_maximum(group) -> tuple[int, int]:
    if "cpu" in group.directories:
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        texts = [read(group.directories["cpu"], name) for name in names]
    else:
        texts = read(group.directories[""], "cpu.max").split()
    return int(texts[0]), int(texts[1])


def read(directory: str, name: str) -> str:
    with open(f"{directory}/{name}") as file:
        return file.read()


def test_shares_are_a_weight(make_group):
    group = make_group(Resources(cpu=CPU(shares=2048)))
    if "cpu" in group.directories:
        assert int(read(group.directories["cpu"], "cpu.shares")) == 2048
    else:
        assert int(read(group.directories[""], "cpu.weight")) > 100


@pytest.fixture
def cpusets(trees):
    if not trees.has("cpuset"):
        pytest.skip("There are no CPU sets here (a kernel for one CPU has none).")


@pytest.mark.usefixtures("cpusets")
def test_a_cpuset_binds_processes_to_cpus(make_group, inside):
    wanted = max(os.sched_getaffinity(0))
    group = make_group(Resources(cpu=CPU(cpus=str(wanted), mems="0")))

    def look() -> None:
        assert os.sched_getaffinity(0) == {wanted}

    assert inside(group, look).wait() == 0


@pytest.mark.usefixtures("cpusets")
def test_a_cpuset_is_added_live(make_group, inside):
    """The group was made without this controller; its processes move into it."""
    group = make_group()
    member = inside(group, sleep)
    wanted = max(os.sched_getaffinity(0))
    group.apply(Resources(cpu=CPU(cpus=str(wanted))))
    assert os.sched_getaffinity(member.pid) == {wanted}


def test_an_idle_group(make_group):
    group = make_group()
    directory = group.directories.get("cpu") or group.directories[""]
    if not os.path.exists(f"{directory}/cpu.idle"):
        pytest.skip("This kernel has no cpu.idle (it came with Linux 5.15).")
    group.apply(Resources(cpu=CPU(idle=1)))
    assert int(read(directory, "cpu.idle")) == 1


def test_a_rate_for_a_block_device(make_group, trees):
    if not trees.has("io"):
        pytest.skip("There is no controller for block devices here.")
    device = a_disk()
    rule = ThrottleDevice(major=device[0], minor=device[1], rate=MEBIBYTE)
    group = make_group(Resources(block_io=BlockIO(throttle_read_bps_device=[rule])))
    if "io" in group.directories:
        text = read(group.directories["io"], "blkio.throttle.read_bps_device")
        assert text.split() == [f"{device[0]}:{device[1]}", str(MEBIBYTE)]
    else:
        assert f"rbps={MEBIBYTE}" in read(group.directories[""], "io.max")


def test_a_weight_for_block_devices(make_group, trees):
    if not trees.has("io"):
        pytest.skip("There is no controller for block devices here.")
    if not features().block_io_weight:
        pytest.skip("No scheduler of this kernel knows weights of block devices.")
    group = make_group(Resources(block_io=BlockIO(weight=500)))
    directory = group.directories.get("io") or group.directories[""]
    names = ("blkio.bfq.weight", "blkio.weight", "io.bfq.weight", "io.weight")
    texts = [read(directory, name) for name in names if os.path.exists(f"{directory}/{name}")]
    assert any(text.split()[-1] in ("500", "4950") for text in texts)


def test_what_docker_info_lists_is_what_can_be_set(trees):
    found = features()
    assert found.memory_limit == trees.has("memory")
    assert found.cpu_quota == trees.has("cpu")
    assert found.pids_limit == trees.has("pids")
    assert found.oom_kill_disable == (trees.controllers["memory"].version == 1)


def a_disk() -> tuple[int, int]:
    for name in sorted(os.listdir("/sys/block")):
        with open(f"/sys/block/{name}/dev") as file:
            major, minor = map(int, file.read().split(":"))
        if not name.startswith(("loop", "zram", "ram")):
            return major, minor
    pytest.skip("This machine has no disk.")


def test_a_rate_for_a_device_that_is_not_there_is_refused(make_group, trees):
    if not trees.has("io"):
        pytest.skip("There is no controller for block devices here.")
    rule = ThrottleDevice(major=4001, minor=1, rate=1)
    with pytest.raises(LimitRefusedError, match="no such device"):
        make_group(Resources(block_io=BlockIO(throttle_read_bps_device=[rule])))


def test_huge_pages(make_group, trees):
    if not trees.has("hugetlb") or not os.path.isdir("/sys/kernel/mm/hugepages/hugepages-2048kB"):
        pytest.skip("There is no controller for huge pages of 2 MB here.")
    limits = [HugepageLimit(page_size="2MB", limit=4 * MEBIBYTE)]
    group = make_group(Resources(hugepage_limits=limits))
    directory = group.directories.get("hugetlb") or group.directories[""]
    name = "hugetlb.2MB.limit_in_bytes" if "hugetlb" in group.directories else "hugetlb.2MB.max"
    assert int(read(directory, name)) == 4 * MEBIBYTE


def test_huge_pages_are_limited_live(make_group, trees):
    """In the v2 tree, the controller has to be handed down first."""
    if not trees.has("hugetlb") or not os.path.isdir("/sys/kernel/mm/hugepages/hugepages-2048kB"):
        pytest.skip("There is no controller for huge pages of 2 MB here.")
    group = make_group()
    group.apply(Resources(hugepage_limits=[HugepageLimit(page_size="2MB", limit=2 * MEBIBYTE)]))
    directory = group.directories.get("hugetlb") or group.directories[""]
    name = "hugetlb.2MB.limit_in_bytes" if "hugetlb" in group.directories else "hugetlb.2MB.max"
    assert int(read(directory, name)) == 2 * MEBIBYTE


def test_files_of_the_v2_tree_are_written_by_name(make_group, trees):
    if trees.unified is None:
        with pytest.raises(ControllerUnavailableError):
            make_group(Resources(unified={"cgroup.max.depth": "3"}))
        return
    group = make_group(Resources(unified={"cgroup.max.depth": "3"}))
    assert int(read(group.directories[""], "cgroup.max.depth")) == 3


@pytest.mark.parametrize("name", ["../cgroup.procs", "/etc/passwd", "a/b.c", "nodot"])
def test_a_name_that_leads_out_of_the_group_is_refused(make_group, name):
    with pytest.raises(CgroupError, match="is not the name of a control file"):
        make_group(Resources(unified={name: "1"}))


def test_a_controller_that_is_not_there_is_named(make_group, trees):
    if trees.has("hugetlb"):
        pytest.skip("All controllers are there.")
    limits = [HugepageLimit(page_size="2MB", limit=0)]
    with pytest.raises(ControllerUnavailableError, match="hugetlb") as caught:
        make_group(Resources(hugepage_limits=limits))
    assert caught.value.controller == "hugetlb"
    assert caught.value.remedy


def test_a_process_sees_the_limit_that_it_lives_under(make_group, inside):
    group = make_group(Resources(memory=Memory(limit=64 * MEBIBYTE)))

    def look() -> None:
        assert machine.own_memory_limit() == 64 * MEBIBYTE

    assert inside(group, look).wait() == 0
