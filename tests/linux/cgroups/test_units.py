"""What systemd is asked for: names of units, properties of limits and of annotations."""

from __future__ import annotations

import pytest

from cellcrate_runtime.linux.cgroups import CgroupError, Resources
from cellcrate_runtime.linux.cgroups.properties import INFINITY, of_resources
from cellcrate_runtime.linux.cgroups.resources import CPU, BlockIO, Memory, Pids
from cellcrate_runtime.linux.cgroups.scope import Scope
from cellcrate_runtime.linux.cgroups.units import UnitName, parse, slice_path
from cellcrate_runtime.linux.cgroups.variants import of_annotations

MEBIBYTE = 1 << 20


@pytest.mark.parametrize(
    ("path", "user", "expected"),
    [
        ("", False, UnitName("cellcrate-c1.scope", "system.slice")),
        ("", True, UnitName("cellcrate-c1.scope", "user.slice")),
        (":libpod:abc", False, UnitName("libpod-abc.scope", "system.slice")),
        ("machine.slice:libpod:abc", True, UnitName("libpod-abc.scope", "machine.slice")),
        ("a-b.slice::n", False, UnitName("-n.scope", "a-b.slice")),
        ("-:p:n", False, UnitName("p-n.scope", "-.slice")),
    ],
)
def test_a_path_names_a_scope_and_its_slice(path: str, user: bool, expected: UnitName) -> None:
    assert parse(path, "c1", user=user) == expected


@pytest.mark.parametrize(
    "path",
    [
        *("/a/path", "a:b", "a.slice:b:c:d", "a:b:c", "a.slice/b.slice:p:n", "::"),
        *("-a.slice:p:n", "a--b.slice:p:n", ".slice:p:n", ":p:n/m", ":p:n.slice"),
    ],
)
def test_a_path_that_names_none_is_refused(path: str) -> None:
    with pytest.raises(CgroupError):
        parse(path, "c1", user=False)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("system.slice", "/system.slice"),
        ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"),
        ("-.slice", ""),
    ],
)
def test_a_dash_leads_into_a_slice(name: str, path: str) -> None:
    assert slice_path(name) == path


def numbers(resources: Resources) -> dict[str, int]:
    """Properties that are a number."""
    return {name: int(value) for name, kind, value in of_resources(resources) if kind == "t"}


def test_limits_that_are_not_there_are_no_properties() -> None:
    assert of_resources(Resources()) == []
    assert of_resources(Resources(memory=Memory(), cpu=CPU(), pids=Pids())) == []


def test_limits_of_memory_are_properties() -> None:
    memory = Memory(limit=64 * MEBIBYTE, reservation=MEBIBYTE, swap=64 * MEBIBYTE)
    assert numbers(Resources(memory=memory)) == {
        "MemoryMax": 64 * MEBIBYTE,
        "MemoryLow": MEBIBYTE,
        "MemorySwapMax": 0,
    }
    assert numbers(Resources(memory=Memory(limit=-1))) == {
        "MemoryMax": INFINITY,
        "MemorySwapMax": INFINITY,
    }


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        (CPU(quota=50_000, period=100_000), {"per_second": 500_000, "period": 100_000}),
        (CPU(quota=50_000), {"per_second": 500_000}),
        (CPU(quota=33_333, period=100_000), {"per_second": 340_000, "period": 100_000}),
        (CPU(quota=-1), {"per_second": INFINITY}),
        (CPU(period=50_000), {"per_second": INFINITY, "period": 50_000}),
    ],
)
def test_a_quota_is_rounded_up_to_whole_per_cents(cpu: CPU, expected: dict[str, int]) -> None:
    names = {"CPUQuotaPerSecUSec": "per_second", "CPUQuotaPeriodUSec": "period"}
    assert {names[k]: v for k, v in numbers(Resources(cpu=cpu)).items()} == expected


def test_other_limits_are_properties() -> None:
    resources = Resources(
        cpu=CPU(shares=1024, cpus="0-2,9", mems="0"),
        pids=Pids(limit=-1),
        block_io=BlockIO(weight=1000),
    )
    assert of_resources(resources) == [
        ("CPUWeight", "t", "100"),
        ("AllowedCPUs", "ay", "2", "7", "2"),
        ("AllowedMemoryNodes", "ay", "1", "1"),
        ("TasksMax", "t", str(INFINITY)),
        ("IOWeight", "t", "10000"),
    ]


def test_files_of_the_tree_are_properties() -> None:
    unified = {
        "memory.high": str(MEBIBYTE),
        "memory.swap.max": "max",
        "pids.max": "9",
        "cpu.weight": "50",
        "cpu.max": "10000 50000",
        "cpuset.cpus": "1",
        "hugetlb.2MB.max": "0",
    }
    assert of_resources(Resources(unified=unified)) == [
        ("MemoryHigh", "t", str(MEBIBYTE)),
        ("MemorySwapMax", "t", str(INFINITY)),
        ("TasksMax", "t", "9"),
        ("CPUWeight", "t", "50"),
        ("CPUQuotaPeriodUSec", "t", "50000"),
        ("CPUQuotaPerSecUSec", "t", "200000"),
        ("AllowedCPUs", "ay", "1", "2"),
    ]


@pytest.mark.parametrize(
    "resources",
    [Resources(unified={"pids.max": "many"}), Resources(cpu=CPU(cpus="first"))],
)
def test_a_limit_that_makes_no_sense_is_refused(resources: Resources) -> None:
    with pytest.raises(CgroupError):
        of_resources(resources)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("TimeoutStopUSec", "uint64 123", ("TimeoutStopUSec", "t", "123")),
        ("TimeoutStopSec", "7", ("TimeoutStopUSec", "t", "7000000")),
        ("TimeoutStopSec", "0.5", ("TimeoutStopUSec", "t", "500000")),
        ("CollectMode", "'inactive-or-failed'", ("CollectMode", "s", "inactive-or-failed")),
        ("CollectMode", '"it\\\'s"', ("CollectMode", "s", "it's")),
        ("SendSIGHUP", "true", ("SendSIGHUP", "b", "true")),
        ("Number", "0x10", ("Number", "i", "16")),
        ("After", "['a.service', 'b.service']", ("After", "as", "2", "a.service", "b.service")),
        ("After", "@as []", ("After", "as", "0")),
        ("Bytes", "[byte 1, 2]", ("Bytes", "ay", "2", "1", "2")),
        ("Bytes", "@ay [1, 2]", ("Bytes", "ay", "2", "1", "2")),
    ],
)
def test_annotations_are_properties(name: str, text: str, expected: tuple[str, ...]) -> None:
    annotations = {f"org.systemd.property.{name}": text, "other": "x"}
    assert of_annotations(annotations) == [expected]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("No", "1"),
        ("With-dash", "1"),
        ("Name", "text"),
        ("Name", "'open"),
        ("Name", "1 2"),
        ("Name", "[]"),
        ("Name", "['a'"),
        ("Name", "[['a']]"),
        ("Name", "[1, 'a']"),
        ("Name", "uint99 1"),
        ("Name", "uint32 'a'"),
        ("Name", "uint32 0.5"),
        ("TimeoutStopSec", "'a'"),
    ],
)
def test_annotations_that_cannot_be_are_refused(name: str, text: str) -> None:
    with pytest.raises(CgroupError, match="annotation"):
        of_annotations({f"org.systemd.property.{name}": text})


def test_an_annotation_takes_the_place_of_what_a_scope_has_otherwise() -> None:
    more = [("CollectMode", "s", "inactive")]
    scope = Scope.planned(UnitName("a-b.scope", "system.slice"), Resources(), more, user=False)
    assert scope._first is not None
    modes = [each for each in scope._first[1] if each[0] == "CollectMode"]
    assert modes == more
