"""Controllers that few machines have, and corners of the others: against files of a fake tree."""

from __future__ import annotations

import pytest

from cellcrate_runtime.linux.cgroups import Resources, check
from cellcrate_runtime.linux.cgroups.controllers import V1, V2, controllers_for
from cellcrate_runtime.linux.cgroups.conversions import each_kind
from cellcrate_runtime.linux.cgroups.errors import LimitRefusedError
from cellcrate_runtime.linux.cgroups.resources import (
    RDMA,
    DeviceRule,
    HugepageLimit,
    Memory,
    Network,
    NetworkPriority,
    Pids,
)
from cellcrate_runtime.linux.cgroups.v1.devices import rule_text
from cellcrate_runtime.linux.cgroups.v2 import devices


def written(tmp_path, controllers, name, resources, *files, **given):
    """What a controller writes to files that exist, by name."""
    for file in files:
        (tmp_path / file).write_text(given.get("content", ""))
    controllers[name].apply(str(tmp_path), resources)
    return [(tmp_path / file).read_text() for file in files]


def test_the_class_of_packets(tmp_path):
    resources = Resources(network=Network(class_id=0x100001))
    assert controllers_for(resources) == ["net_cls"]
    assert written(tmp_path, V1, "net_cls", resources, "net_cls.classid") == ["1048577"]


def test_the_priority_of_packets(tmp_path):
    resources = Resources(network=Network(priorities=[NetworkPriority(name="eth0", priority=5)]))
    assert controllers_for(resources) == ["net_prio"]
    assert written(tmp_path, V1, "net_prio", resources, "net_prio.ifpriomap") == ["eth0 5"]


@pytest.mark.parametrize("controllers", [V1, V2])
def test_adapters(tmp_path, controllers):
    resources = Resources(rdma={"mlx5_1": RDMA(hca_handles=3, hca_objects=10000)})
    assert controllers_for(resources) == ["rdma"]
    said = written(tmp_path, controllers, "rdma", resources, "rdma.max")
    assert said == ["mlx5_1 hca_handle=3 hca_object=10000"]


def test_adapters_without_a_limit_are_refused():
    (problem,) = [p for p in check(Resources(rdma={"mlx5_1": RDMA()})) if "Give" in p.message]
    assert problem.member == "rdma"


def test_reserved_huge_pages_are_limited_too(tmp_path):
    resources = Resources(hugepage_limits=[HugepageLimit(page_size="2MB", limit=4096)])
    files = ("hugetlb.2MB.rsvd.max", "hugetlb.2MB.max")
    assert written(tmp_path, V2, "hugetlb", resources, *files) == ["4096", "4096"]


def test_a_limit_below_what_is_in_use(tmp_path):
    (tmp_path / "memory.current").write_text("5000\n")
    resources = Resources(memory=Memory(limit=4999, check_before_update=True))
    with pytest.raises(LimitRefusedError, match="the group uses 5000 bytes"):
        written(tmp_path, V2, "memory", resources, "memory.max")
    resources = Resources(memory=Memory(limit=5000, check_before_update=True))
    assert written(tmp_path, V2, "memory", resources, "memory.max") == ["5000"]


@pytest.mark.parametrize(("limit", "said"), [(0, "1"), (7, "7"), (-1, "max"), (None, "")])
def test_no_more_tasks_is_a_limit_too(tmp_path, limit, said):
    assert written(tmp_path, V1, "pids", Resources(pids=Pids(limit=limit)), "pids.max") == [said]


def test_rules_about_both_kinds_of_device():
    def texts(**members):
        return [rule_text(rule) for rule in each_kind([DeviceRule(allow=True, **members)])]

    assert texts(access="rwm") == ["a"]
    assert texts(type="a", major=-1) == ["a"]
    assert texts(access="m") == ["b *:* m", "c *:* m"]
    assert texts(type="a", major=1, access="r") == ["b 1:* r", "c 1:* r"]
    assert texts(major=0) == ["b 0:* rwm", "c 0:* rwm"]
    some = [DeviceRule(allow=True, access="m")]
    both = [DeviceRule(allow=True, type=kind, access="m") for kind in "bc"]
    assert devices.program(some) == devices.program(both)
