"""Delegation by the user's own systemd, as on a desktop or a server with cgroup v2."""

from __future__ import annotations

import os
import signal

import pytest

from cellcrate_runtime.doctor.probes import limits
from cellcrate_runtime.linux import cgroups
from cellcrate_runtime.linux.cgroups import Cgroup, Resources, delegation, systemd
from cellcrate_runtime.linux.cgroups.hierarchy import LEAF, own_path
from cellcrate_runtime.linux.cgroups.resources import Memory, Pids

pytestmark = pytest.mark.root  # becomes an ordinary user itself

MEBIBYTE = 1 << 20


@pytest.fixture(autouse=True)
def manager(somebody):
    if not os.path.exists(f"/run/user/{somebody}/systemd/private"):
        pytest.skip("There is no systemd here that serves an ordinary user.")


def test_the_doctor_sees_it(as_somebody):
    def check() -> None:
        (probe, _) = limits.probes()
        finding = probe.finding()
        assert finding.state == "ok", finding
        assert "delegated by systemd: cpu, memory, pids" in finding.meaning

    as_somebody(check)


def test_the_engine_gets_a_scope_of_its_own_with_limits(as_somebody):
    def check() -> None:
        before = own_path()
        assert not cgroups.hierarchy().writable
        found = delegation.prepare()
        assert own_path() != before
        assert own_path().endswith(f"/{systemd.SCOPE}/{LEAF}")
        assert found.unified is not None
        assert found.unified.endswith(f"/{systemd.SCOPE}")
        assert {"cpu", "memory", "pids"} <= set(found.controllers)
        limit = 24 * MEBIBYTE
        group = Cgroup.create(
            "/cellcrate/1", Resources(memory=Memory(limit=limit, swap=limit), pids=Pids(limit=9))
        )
        pid = os.fork()
        if pid == 0:
            group.add(os.getpid())
            taken = []
            while True:
                taken.append(bytearray(MEBIBYTE))
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
        assert group.oom_kills() == 1
        group.delete()

    as_somebody(check)


def test_an_engine_that_starts_anew_finds_the_containers_of_the_last(as_somebody):
    """The second process comes from outside, while a container of the first still runs."""
    ready, told = os.pipe()
    wait, done = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(ready)
        os.close(done)

        def live() -> None:
            delegation.prepare()
            group = Cgroup.create("/cellcrate/living")
            group.add(os.getpid())
            os.write(told, str(os.getpid()).encode())
            os.read(wait, 1)

        try:
            as_somebody(live)
        finally:
            os._exit(0)
    os.close(told)
    os.close(wait)
    try:
        living = int(os.read(ready, 100) or b"0")
        assert living, "see the first child's traceback"

        def find() -> None:
            delegation.prepare()
            assert own_path().endswith(f"/{systemd.SCOPE}/{LEAF}")
            assert Cgroup.open("/cellcrate/living").procs() == [living]

        as_somebody(find)
    finally:
        os.close(done)
        os.close(ready)
        os.waitpid(first, 0)
