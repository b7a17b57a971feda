"""What can be known without touching a control group."""

from __future__ import annotations

import re

import pytest

from cellcrate_runtime.linux.cgroups import Hierarchy, Place, Resources, check, files, machine
from cellcrate_runtime.linux.cgroups.controllers import controllers_for, controllers_mentioned
from cellcrate_runtime.linux.cgroups.conversions import cpu_weight, io_weight, swap_alone
from cellcrate_runtime.linux.cgroups.errors import CgroupError
from cellcrate_runtime.linux.cgroups.pressure import parse
from cellcrate_runtime.linux.cgroups.resources import (
    CPU,
    BlockIO,
    DeviceRule,
    HugepageLimit,
    Memory,
    Pids,
    ThrottleDevice,
)
from cellcrate_runtime.linux.cgroups.v1 import blkio
from cellcrate_runtime.linux.cgroups.v1.devices import rule_text
from cellcrate_runtime.linux.cgroups.v2 import io

MEBIBYTE = 1 << 20

EVERYTHING = Hierarchy(
    "v1",
    {
        name: Place(1, "/nowhere", True)
        for name in ("cpu", "cpuset", "memory", "pids", "io", "hugetlb")
    },
)
V2 = Hierarchy("v2", {"memory": Place(2, "/nowhere", True)}, "/nowhere")


@pytest.mark.parametrize(
    ("shares", "weight"),
    [(0, 1), (2, 1), (1024, 100), (262144, 10000), (1 << 30, 10000)],
)
def test_the_ends_and_the_default_of_shares_become_those_of_weights(shares, weight):
    assert cpu_weight(shares) == weight


def test_more_shares_are_never_less_weight():
    weights = [cpu_weight(shares) for shares in range(2, 262145, 97)]
    assert weights == sorted(weights)


@pytest.mark.parametrize(("blkio", "io"), [(10, 1), (1000, 10000), (500, 4950)])
def test_weights_of_block_devices(blkio, io):
    assert io_weight(blkio) == io


@pytest.mark.parametrize(
    ("controller", "written"),
    [
        (
            blkio,
            [
                ("blkio.throttle.read_bps_device", "8:1 10"),
                ("blkio.throttle.write_bps_device", "8:2 20"),
                ("blkio.throttle.read_iops_device", "8:3 30"),
                ("blkio.throttle.write_iops_device", "8:4 0"),
            ],
        ),
        (
            io,
            [
                ("io.max", "8:1 rbps=10"),
                ("io.max", "8:2 wbps=20"),
                ("io.max", "8:3 riops=30"),
                ("io.max", "8:4 wiops=max"),
            ],
        ),
    ],
)
def test_each_rate_of_a_block_device_is_written_where_it_belongs(controller, written, monkeypatch):
    found = []
    monkeypatch.setattr(files, "write", lambda _folder, name, value: found.append((name, value)))
    block = BlockIO(
        throttle_read_bps_device=[ThrottleDevice(major=8, minor=1, rate=10)],
        throttle_write_bps_device=[ThrottleDevice(major=8, minor=2, rate=20)],
        throttle_read_iops_device=[ThrottleDevice(major=8, minor=3, rate=30)],
        throttle_write_iops_device=[ThrottleDevice(major=8, minor=4, rate=0)],
    )
    controller.apply("/nowhere", Resources(block_io=block))
    assert found == written


@pytest.mark.parametrize(
    ("limit", "total", "swap"),
    [
        (100, 150, 50),
        (100, 100, 0),
        (100, -1, -1),
        (100, None, None),
        (None, None, None),
        (-1, None, -1),
        (-1, 500, 500),
    ],
)
def test_a_total_of_memory_and_swap_becomes_swap_alone(limit, total, swap):
    assert swap_alone(limit, total) == swap


@pytest.mark.parametrize(("limit", "total"), [(100, 50), (None, 50)])
def test_an_impossible_total_is_refused(limit, total):
    with pytest.raises(CgroupError):
        swap_alone(limit, total)


def test_controllers_are_asked_for_only_where_a_limit_needs_them():
    assert controllers_for(Resources()) == []
    assert controllers_for(Resources(cpu=CPU(), memory=Memory(), block_io=BlockIO())) == []
    assert controllers_for(Resources(cpu=CPU(cpus="0", shares=5))) == ["cpuset", "cpu"]
    assert controllers_for(Resources(memory=Memory(limit=5), pids=Pids(limit=5))) == [
        "memory",
        "pids",
    ]


def test_taking_a_limit_away_needs_no_controller():
    resources = Resources(
        cpu=CPU(quota=-1, period=100_000),
        memory=Memory(limit=-1, swap=-1, disable_oom_killer=False),
        pids=Pids(limit=-1),
    )
    assert controllers_for(resources) == []
    assert controllers_mentioned(resources) == ["cpu", "memory", "pids"]
    assert controllers_mentioned(Resources()) == []


@pytest.mark.parametrize(
    ("resources", "member", "words"),
    [
        (Resources(memory=Memory(limit=1 << 60)), "memory.limit", "than this machine has"),
        (Resources(memory=Memory(limit=-5)), "memory.limit", "-1 for no limit"),
        (Resources(memory=Memory(limit=6 * MEBIBYTE, swap=5)), "memory.swap", "smaller"),
        (Resources(memory=Memory(swap=5)), "memory.swap", "needs a limit of memory"),
        (
            Resources(memory=Memory(limit=6 * MEBIBYTE, reservation=12 * MEBIBYTE)),
            "memory.reservation",
            "12 MiB.*6 MiB",
        ),
        (Resources(memory=Memory(swappiness=101)), "memory.swappiness", "between 0 and 100"),
        (Resources(cpu=CPU(shares=1)), "cpu.shares", "between 2 and 262144"),
        (Resources(cpu=CPU(period=5)), "cpu.period", "between 1 ms and 1 s"),
        (Resources(cpu=CPU(quota=5)), "cpu.quota", "less than 1 ms"),
        (Resources(cpu=CPU(quota=10**10)), "cpu.quota", "100000 CPUs are more"),
        (Resources(cpu=CPU(quota=5000, burst=6000)), "cpu.burst", "more than the quota"),
        (Resources(cpu=CPU(idle=3)), "cpu.idle", "neither"),
        (Resources(cpu=CPU(cpus="0-9999")), "cpu.cpus", "there are: 0"),
        (Resources(cpu=CPU(cpus="bananas")), "cpu.cpus", "'bananas' is not a list"),
        (Resources(cpu=CPU(mems="77")), "cpu.mems", "there are: 0"),
        (Resources(pids=Pids(limit=1 << 40)), "pids.limit", "than this machine can have"),
        (Resources(block_io=BlockIO(weight=5)), "blockIO.weight", "between 10 and 1000"),
        (
            Resources(
                block_io=BlockIO(
                    throttle_read_bps_device=[ThrottleDevice(major=4001, minor=2, rate=1)]
                )
            ),
            "blockIO",
            "no block device 4001:2",
        ),
        (
            Resources(hugepage_limits=[HugepageLimit(page_size="3MB", limit=1)]),
            "hugepageLimits",
            "no huge pages of 3MB",
        ),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_made(resources, member, words):
    problems = check(resources, EVERYTHING)
    assert [problem.member for problem in problems] == [member]
    assert re.search(words, problems[0].message), problems[0].message


@pytest.mark.parametrize(
    "resources",
    [
        Resources(),
        Resources(memory=Memory(limit=12 * MEBIBYTE, swap=-1, reservation=6 * MEBIBYTE)),
        Resources(memory=Memory(limit=-1), cpu=CPU(quota=-1, shares=0), pids=Pids(limit=-1)),
        Resources(cpu=CPU(quota=50_000, period=100_000, cpus="0", mems="0")),
    ],
)
def test_what_makes_sense_passes(resources):
    assert check(resources, EVERYTHING) == []


def test_what_cgroup_v2_lacks_is_said():
    memory = Memory(swappiness=10, disable_oom_killer=True)
    members = [problem.member for problem in check(Resources(memory=memory), V2)]
    assert members == ["memory.swappiness", "memory.disableOOMKiller"]


def test_a_missing_controller_is_said():
    problems = check(Resources(pids=Pids(limit=5)), V2)
    assert [problem.member for problem in problems] == ["pids"]
    assert "there are: memory" in problems[0].message


def test_lists_of_numbers():
    assert machine.parse_list("0-3,8\n") == {0, 1, 2, 3, 8}
    for text in ("", "3-1", "a", "1,,2", "-1", "1-", "0-99999999999"):
        with pytest.raises(ValueError, match=r"list of numbers|runs backwards"):
            machine.parse_list(text)


def test_sizes_for_people():
    assert machine.size_text(1536 << 20) == "1.5 GiB"
    assert machine.size_text(6 << 20) == "6 MiB"
    assert machine.size_text(5) == "5 bytes"


def test_a_pressure_file():
    pressure = parse(
        "some avg10=1.50 avg60=0.20 avg300=0.00 total=1234\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=12\n"
    )
    assert pressure.some.avg10 == 1.5
    assert pressure.some.total == 1234
    assert pressure.full is not None
    assert pressure.full.total == 12
    assert parse("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n").full is None


def test_device_rules_in_the_words_of_cgroup_v1():
    assert rule_text(DeviceRule(allow=False)) == "a"
    assert rule_text(DeviceRule(allow=True, type="c", major=1, minor=3)) == "c 1:3 rwm"
    assert rule_text(DeviceRule(allow=True, type="c", major=1, access="m")) == "c 1:* m"
    assert rule_text(DeviceRule(allow=True, type="b", major=-1, minor=-1)) == "b *:* rwm"
