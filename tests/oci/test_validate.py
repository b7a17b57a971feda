"""Configurations that cannot be are refused, with the member's name, before anything is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from cellcrate_runtime.linux import labels
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.example import example
from cellcrate_runtime.oci.spec import Spec, decode
from cellcrate_runtime.oci.validate import process_warnings, validate, warnings

GOOD: dict[str, Any] = {
    "ociVersion": "1.2.0",
    "root": {"path": "rootfs"},
    "hostname": "box",
    "process": {
        "cwd": "/",
        "args": ["sh"],
        "env": ["PATH=/bin"],
        "user": {"uid": 0, "gid": 0},
        "rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
        "capabilities": {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
    },
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
    "linux": {
        "namespaces": [{"type": t} for t in ("mount", "uts", "ipc", "network", "user", "time")],
        "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
        "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
        "sysctl": {"net.ipv4.ip_forward": "1"},
        "timeOffsets": {"monotonic": {"secs": 1}},
    },
}


def changed(path: str, value: object) -> Spec:
    """The good configuration with one member set, at a path like ``process.args``."""
    document = msgspec.json.decode(msgspec.json.encode(GOOD))
    *folders, last = path.split(".")
    place = document
    for name in folders:
        place = place[int(name) if name.isdecimal() else name]
    if isinstance(place, list):
        place.append(value) if last == "+" else place.__setitem__(int(last), value)
    else:
        place[last] = value
    return decode(msgspec.json.encode(document))


def test_a_good_one_passes() -> None:
    validate(decode(msgspec.json.encode(GOOD)))


def test_the_example_that_is_rehearsed_passes() -> None:
    validate(example())


def rlimit(type_: str, soft: int, hard: int) -> dict[str, object]:
    return {"type": type_, "soft": soft, "hard": hard}


def mapping(inside: int, outside: int, size: int) -> dict[str, int]:
    return {"containerID": inside, "hostID": outside, "size": size}


def bind(**members: object) -> dict[str, object]:
    return {"destination": "/x", "source": "/y", "options": ["rbind"], **members}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("ociVersion", "2.0.0", "ociVersion: '2.0.0' is not a version 1"),
        ("process.args", [], "process.args: there is no program"),
        ("process.args", ["a\0b"], "process.args: .* zero byte"),
        ("process.env", ["A"], "process.env: 'A' is not of the form"),
        ("process.env", ["=x"], "process.env"),
        ("process.cwd", "tmp", "process.cwd: 'tmp' is not an absolute path"),
        ("process.user.uid", -1, "process.user.uid: -1 is not an id"),
        ("process.user.gid", 1 << 32, "process.user.gid"),
        ("process.user.additionalGids", [-5], "process.user.additionalGids"),
        ("process.user.umask", 0o1000, "process.user.umask"),
        ("process.rlimits.+", rlimit("RLIMIT_CORE", 0, 0), "RLIMIT_CORE is given twice"),
        ("process.rlimits.+", rlimit("RLIMIT_BANANAS", 0, 0), "'RLIMIT_BANANAS' is none of"),
        ("process.rlimits.+", rlimit("RLIMIT_CPU", 2, 1), "the soft RLIMIT_CPU is above"),
        ("process.rlimits.+", rlimit("RLIMIT_CPU", -1, 1), "the soft RLIMIT_CPU is above"),
        ("process.oomScoreAdj", 1001, "process.oomScoreAdj"),
        ("process.apparmorProfile", "x", "process.apparmorProfile: AppArmor is not active"),
        ("process.selinuxLabel", "x", "process.selinuxLabel: SELinux is not active"),
        ("process.scheduler", {"policy": "X"}, "process.scheduler.policy: 'X' is no policy"),
        ("process.scheduler", {"policy": "SCHED_RR"}, "must be between 1 and 99 with SCHED_RR"),
        ("process.scheduler", {"policy": "SCHED_OTHER", "priority": 1}, "must be 0 with"),
        ("process.scheduler", {"policy": "SCHED_OTHER", "nice": 20}, "process.scheduler.nice"),
        ("process.scheduler", {"policy": "SCHED_OTHER", "flags": ["X"]}, "scheduler.flags: 'X'"),
        ("process.scheduler", {"policy": "SCHED_BATCH", "period": 5}, "SCHED_DEADLINE alone"),
        ("process.execCPUAffinity", {"initial": "x"}, "execCPUAffinity.initial: 'x' is not a list"),
        ("process.execCPUAffinity", {"final": "3-1"}, "execCPUAffinity.final"),
        ("process.ioPriority", {"class": "X", "priority": 1}, "process.ioPriority.class"),
        ("hostname", "x" * 65, "hostname: is longer than 64 bytes"),
        ("linux.namespaces", [{"type": "mount"}], "uidMappings: are for a user namespace"),
        ("linux.namespaces.+", {"type": "uts"}, "linux.namespaces: uts is given twice"),
        ("linux.namespaces.+", {"type": "pid", "path": "x"}, "'x' is not an absolute path"),
        ("linux.namespaces.0", {"type": "mount", "path": "/x"}, "a new user namespace needs"),
        ("linux.namespaces.0", {"type": "pid"}, "a new user namespace needs"),
        ("linux.namespaces.1", {"type": "pid"}, "hostname: needs a UTS namespace"),
        ("linux.namespaces.3", {"type": "pid"}, "needs the container's own network namespace"),
        ("linux.uidMappings", [], "a new user namespace needs"),
        ("linux.uidMappings.+", mapping(9, 5, 1), "ranges overlap"),
        ("linux.uidMappings.+", mapping(50, 1009, 1), "ranges overlap"),
        ("linux.uidMappings.+", mapping(50, 50, 0), "0 ids from 50 on"),
        ("linux.gidMappings.+", mapping(-1, 50, 1), "linux.gidMappings"),
        ("linux.sysctl", {"kernel.panic": "1"}, "'kernel.panic' is the whole machine's"),
        ("linux.sysctl", {"net/../kernel/panic": "1"}, "is no name of a parameter"),
        ("linux.timeOffsets", {"realtime": {"secs": 1}}, "'realtime' is neither"),
        ("linux.rootfsPropagation", "odd", "linux.rootfsPropagation"),
        ("linux.maskedPaths", ["proc"], "linux.maskedPaths: 'proc' is not an absolute"),
        ("linux.devices", [{"path": "x", "type": "c"}], "linux.devices"),
        ("linux.devices", [{"path": "/x", "type": "z"}], "'z' is none of"),
        ("linux.mountLabel", 'x"', "linux.mountLabel: .* quotation mark"),
        ("mounts.+", bind(destination=""), r"mounts\[1\].destination: is empty"),
        ("linux.personality", {"domain": "BSD"}, "linux.personality.domain: 'BSD' is neither"),
        ("linux.personality", {"domain": "LINUX", "flags": ["X"]}, "there are no flags"),
        (
            "linux.memoryPolicy",
            {"mode": "MPOL_X"},
            "linux.memoryPolicy.mode: invalid memory policy mode 'MPOL_X'",
        ),
        (
            "linux.memoryPolicy",
            {"mode": "MPOL_LOCAL", "nodes": "0"},
            "MPOL_LOCAL: mode requires 0 nodes but got 1",
        ),
        (
            "linux.memoryPolicy",
            {"mode": "MPOL_BIND"},
            "MPOL_BIND: mode requires nodes but got none",
        ),
        ("linux.memoryPolicy", {"mode": "MPOL_BIND", "nodes": "x"}, "'x' is not a list"),
        (
            "linux.memoryPolicy",
            {"mode": "MPOL_LOCAL", "flags": ["X"]},
            "flags: invalid memory policy flag 'X'",
        ),
        ("linux.intelRdt", {"closID": "x"}, "linux.intelRdt: is not supported"),
        ("linux.netDevices", {"a/b": {}}, "'a/b' is no name of a network device"),
        ("linux.netDevices", {"eth0": {"name": "x" * 16}}, "is no name of a network device"),
        ("linux.netDevices", {"eth0": {"name": "a%s"}}, "may have one %d"),
        ("linux.timeOffsets", {"boottime": {"nanosecs": -1}}, "is no part of a second"),
        ("linux.resources", {"devices": [{"allow": True, "type": "x"}]}, "none of a, b and c"),
        ("linux.resources", {"devices": [{"allow": True, "access": "x"}]}, "not made of r, w"),
        ("annotations", {"": "x"}, "annotations: one of them has no name"),
        ("root", None, "root: there is no root file system"),
        ("ociVersion", "1.2", "ociVersion: '1.2' is not a version 1"),
        ("hooks", {"prestart": [{"path": "x"}]}, r"hooks.prestart\[0\].path: 'x' is not an abs"),
        ("hooks", {"poststop": [{"path": "/x", "timeout": 0}]}, "poststop.*timeout: 0 is not"),
        ("hooks", {"poststart": [{"path": "/x", "env": ["x"]}]}, "poststart.*env: 'x' is not of"),
        ("mounts.+", bind(destination="/.."), "the root itself"),
        ("mounts.+", bind(source="y"), r"mounts\[1\].source: a bind mount needs"),
        ("mounts.+", bind(source="/y\0"), "zero byte"),
        ("mounts.+", {"destination": "/x"}, r"mounts\[1\].type: is missing"),
        ("mounts.+", bind(uidMappings=[mapping(0, 0, 1)]), "must be given together"),
        ("mounts.+", {"destination": "/x", "type": "tmpfs", "options": ["idmap"]}, "idmap is for"),
    ],
)
def test_bad_ones_are_refused(path: str, value: object, message: str) -> None:
    with pytest.raises(OCIError, match=message) as caught:
        validate(changed(path, value))
    assert caught.value.kind == "invalid"


@pytest.mark.parametrize("version", ["1.0.0", "1.3.0", "1.2.1-rc.1", "1.3.0+dev"])
def test_versions(version: str) -> None:
    validate(changed("ociVersion", version))


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ({"deadline": 20000000}, "`SCHED_DEADLINE` requires `runtime`"),
        ({"runtime": 20000000}, "`SCHED_DEADLINE` requires `deadline`"),
        ({"runtime": 0, "deadline": 20000000}, "runtime must be greater than 0"),
        ({"runtime": 100, "deadline": 20000000}, r"runtime \(100\) must be between 1024 and"),
        ({"runtime": 3000, "deadline": 2000}, r"runtime \(3000\) must be <= deadline \(2000\)"),
        (
            {"runtime": 2000, "deadline": 4000, "period": 3000},
            r"deadline \(4000\) must be <= period \(3000\)",
        ),
    ],
)
def test_times_of_a_deadline_scheduler(times: dict[str, int], message: str) -> None:
    with pytest.raises(OCIError, match=message):
        validate(changed("process.scheduler", {"policy": "SCHED_DEADLINE", **times}))


def test_a_name_is_given_in_one_way() -> None:
    with pytest.raises(OCIError, match="use the member hostname"):
        validate(changed("linux.sysctl", {"kernel.hostname": "box"}))
    spec = changed("linux.sysctl", {"kernel.domainname": "one"})
    spec.domainname = "one"
    validate(spec)
    spec.domainname = "other"
    with pytest.raises(OCIError, match="not what the member domainname says"):
        validate(spec)


def test_options_that_a_bind_mount_has_no_use_for_are_warned_of() -> None:
    spec = changed("mounts.+", bind(options=["bind", "ro", "size=1"]))
    validate(spec)
    (warning,) = warnings(spec)
    assert warning == "mounts[1].options: size=1: not for a bind mount, and left out"


@pytest.mark.skipif(labels.has_selinux(), reason="SELinux is active")
def test_a_label_that_nobody_looks_at_is_warned_of() -> None:
    spec = changed("linux.mountLabel", "system_u:object_r:container_file_t:s0")
    validate(spec)
    (warning,) = warnings(spec)
    assert warning.startswith("linux.mountLabel: SELinux is not active")


def test_what_is_unknown_is_ignored() -> None:
    validate(changed("linux.wings", {"count": 2}))
    validate(changed("process.commandLine", "cmd.exe"))
    validate(changed("process.consoleSize", {"height": -1, "width": 2}))  # there is no terminal


def test_capabilities_that_cannot_be_granted_are_warned_of() -> None:
    process = changed("process.capabilities.effective", ["CAP_CHOWN", "CAP_FLY"]).process
    assert process is not None
    unknown, beyond = process_warnings(process)
    assert "'CAP_FLY' is no capability" in unknown
    assert "CAP_CHOWN, CAP_FLY is not among the permitted ones" in beyond


@pytest.mark.parametrize(
    "change",
    [
        lambda: decode(b"{"),
        lambda: decode(b'{"ociVersion": 1}'),
        lambda: changed("linux.namespaces.+", {"type": "flux"}),
    ],
)
def test_what_is_not_of_the_right_form(change: Callable[[], Spec]) -> None:
    with pytest.raises(ValueError, match=r"config\.json: "):
        change()
