"""Whether overlayfs takes id-mapped layers is found out, and nothing stays of the attempt."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellcrate_runtime.linux import idmap, idmapped_layers, seccomp
from cellcrate_runtime.linux.idmap import IDRange
from cellcrate_runtime.linux.seccomp.profile import Seccomp, Syscall
from engine.unmappable import MountNamespace, in_a_thread

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="File systems are mounted for everybody."),
]

IDS = IDRange(0, 1_000_000, 65536)


@pytest.fixture
def users() -> Iterator[int]:
    """A user namespace."""
    descriptor = idmap.make_user_namespace([IDS], [IDS])
    yield descriptor
    os.close(descriptor)


def test_here_it_does(tmp_path: Path, users: int) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    assert idmapped_layers.why_not(str(tmp_path), users, IDS) == ""
    assert os.listdir(tmp_path) == []
    assert Path("/proc/self/mountinfo").read_text() == before


def test_the_owners_are_looked_at(tmp_path: Path, users: int) -> None:
    other = IDRange(0, 2_000_000, 65536)
    reason = idmapped_layers.why_not(str(tmp_path), users, other)
    assert reason == (
        "overlayfs shows the owner 1000000 of a file in an id-mapped layer, and not 2000000"
    )


def test_a_file_system_without_idmapped_mounts(tmp_path: Path, users: int) -> None:
    namespace = MountNamespace(tmp_path)
    try:
        reason = namespace.run(lambda: idmapped_layers.why_not(str(tmp_path), users, IDS))
    finally:
        namespace.close()
    assert f"the file system of {tmp_path} has no id-mapped mounts here" in reason
    assert os.listdir(tmp_path) == []


def test_an_overlayfs_that_takes_none(tmp_path: Path, users: int) -> None:
    """As before Linux 5.19: the file system could, and overlayfs cannot."""

    def attempt() -> str:
        refuse = Syscall(names=["fsopen"], action="SCMP_ACT_ERRNO", errno_ret=errno.EINVAL)
        filter_ = Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=[refuse])
        seccomp.load(seccomp.compile(filter_))
        return idmapped_layers.why_not(str(tmp_path), users, IDS)

    assert in_a_thread(attempt) == "overlayfs takes no id-mapped layers here: Invalid argument"
    assert os.listdir(tmp_path) == []
