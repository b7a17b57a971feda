"""config.md, "Hostname", "Domainname" and "Annotations"; config-linux.md, "Sysctl"."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conformance.box import Box


def test_a_hostname(box: Box) -> None:
    """Hostname: in the container's UTS namespace, and there alone."""
    box.document["hostname"] = "box.example"
    assert box.sh("hostname") == "box.example"
    assert os.uname().nodename != "box.example"


def test_no_hostname_is_the_hosts(box: Box) -> None:
    """Hostname: optional."""
    del box.document["hostname"]
    assert box.sh("hostname") == os.uname().nodename


@pytest.mark.root
def test_a_hostname_without_a_namespace_is_not_the_hosts(box: Box) -> None:
    """Hostname: who has no UTS namespace of its own must not rename the host."""
    before = os.uname().nodename
    box.namespace("uts", None)
    box.document["hostname"] = before  # so that no runtime that sets it does harm
    done = box.run("hostname")
    assert done.returncode != 0 or done.stdout.strip() == before


@pytest.mark.since((1, 1))
def test_a_domainname(box: Box) -> None:
    """Domainname: in the container's UTS namespace."""
    box.document["domainname"] = "example.test"
    assert box.sh("cat /proc/sys/kernel/domainname") == "example.test"


def test_settings_of_the_kernel(box: Box) -> None:
    """Sysctl: settings of namespaces, changed for the container."""
    settings = {
        "net.ipv4.ip_unprivileged_port_start": "81",
        "kernel.shmmax": "100000",
        "fs.mqueue.msg_max": "5",
    }
    paths = [f"/proc/sys/{name.replace('.', '/')}" for name in settings]
    before = [_read(path) for path in paths]
    box.linux["sysctl"] = settings
    assert box.sh(f"cat {' '.join(paths)}").split() == list(settings.values())
    assert [_read(path) for path in paths] == before


def test_a_setting_that_is_not_there_is_refused(box: Box) -> None:
    """runtime.md, "Create": what cannot be applied must be an error."""
    for name in ("net.no.such.setting", "kernel.no_such_setting", "nonsense"):
        box.linux["sysctl"] = {name: "1"}
        box.refuse("true")


@pytest.mark.root
@pytest.mark.parametrize(
    ("name", "kind"), [("net.ipv4.ip_forward", "network"), ("kernel.sem", "ipc")]
)
def test_a_setting_of_the_hosts_namespace_is_refused(box: Box, name: str, kind: str) -> None:
    """Sysctl: without a namespace of its own, the setting would be the host's."""
    before = _read(f"/proc/sys/{name.replace('.', '/')}")
    box.namespace(kind, None)
    box.document["mounts"] = [m for m in box.document["mounts"] if m["type"] != "sysfs"]
    box.linux["sysctl"] = {name: before}  # so that no runtime that sets it does harm
    box.refuse("true")


def test_an_annotation_that_nobody_knows(box: Box) -> None:
    """Annotations: unknown keys are handled like any unknown property."""
    box.document["annotations"] = {"org.opencontainers.image.nonsense": "value"}
    assert box.sh("echo ran") == "ran"


def _read(path: str) -> str:
    return Path(path).read_text().strip()
