"""features.md and features-linux.md: what a runtime says of itself holds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance.box import Box
from conformance.runtimes import Runtime


@pytest.fixture
def features(runtime: Runtime) -> dict[str, Any]:
    """The structure of a runtime that provides one."""
    done = runtime.call("features")
    if done.returncode:
        pytest.skip(f"{runtime.name} has no features command, which is optional")
    features: dict[str, Any] = json.loads(done.stdout)
    return features


def test_versions(features: dict[str, Any], box: Box) -> None:
    """Specification version: the runtime must accept both, and min is not above max."""
    least, most = features["ociVersionMin"], features["ociVersionMax"]
    assert _numbers(least) <= _numbers(most)
    for version in (least, most):
        box.document["ociVersion"] = version
        assert box.sh("echo ran") == "ran"


def test_hooks(features: dict[str, Any]) -> None:
    """Hooks: the names of config.md."""
    points = ["prestart", "createRuntime", "createContainer", "startContainer"]
    assert set(features["hooks"]) == {*points, "poststart", "poststop"}


def test_mount_options(features: dict[str, Any]) -> None:
    """Mount options: those that config.md says must be recognised are."""
    must = """
        async atime bind defaults dev diratime dirsync exec iversion lazytime loud noatime nodev
        nodiratime noexec noiversion nolazytime norelatime nostrictatime nosuid private rbind
        relatime remount ro rprivate rshared rslave runbindable rw shared silent slave strictatime
        suid sync unbindable
    """
    assert set(must.split()) - set(features["mountOptions"]) <= {"lazytime", "nolazytime"}


def test_namespaces_and_capabilities(features: dict[str, Any]) -> None:
    """features-linux.md, "Namespaces" and "Capabilities"."""
    usual = {"cgroup", "ipc", "mount", "network", "pid", "user", "uts"}
    assert set(features["linux"]["namespaces"]) >= usual
    assert {"CAP_CHOWN", "CAP_SYS_ADMIN"} <= set(features["linux"]["capabilities"])


def test_seccomp(features: dict[str, Any]) -> None:
    """features-linux.md, "Seccomp"."""
    seccomp = features["linux"]["seccomp"]
    assert seccomp["enabled"] is True
    actions = {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_LOG"}
    assert set(seccomp["actions"]) >= actions
    assert "SCMP_CMP_MASKED_EQ" in seccomp["operators"]


def test_control_groups(features: dict[str, Any]) -> None:
    """features-linux.md, "Cgroup"."""
    cgroup = features["linux"]["cgroup"]
    assert cgroup["v1"] is True
    assert cgroup["v2"] is True


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.partition("-")[0].split(".")]
