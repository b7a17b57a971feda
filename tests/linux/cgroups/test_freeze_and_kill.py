"""Stopping processes: for a while, and for good."""

from __future__ import annotations

import mmap
import os
import signal
import time

import pytest

pytestmark = pytest.mark.root


@pytest.fixture
def counter():
    """Memory that a child counts in."""
    shared = mmap.mmap(-1, mmap.PAGESIZE)
    yield shared
    shared.close()


def count_in(shared: mmap.mmap) -> None:
    number = 0
    while True:
        number += 1
        shared[0:8] = number.to_bytes(8, "little")
        time.sleep(0.001)


def value(shared: mmap.mmap) -> int:
    return int.from_bytes(shared[0:8], "little")


def wait_for_more(shared: mmap.mmap, than: int) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if value(shared) > than:
            return True
        time.sleep(0.005)
    return False


def test_frozen_processes_stand_still_and_go_on_when_thawed(make_group, inside, counter):
    group = make_group()
    inside(group, lambda: count_in(counter))
    assert wait_for_more(counter, 5)
    assert not group.frozen
    group.freeze()
    assert group.frozen
    seen = value(counter)
    time.sleep(0.1)
    assert value(counter) == seen
    group.thaw()
    assert not group.frozen
    assert wait_for_more(counter, seen)


def test_freezing_twice_and_an_empty_group_are_fine(make_group):
    group = make_group()
    group.freeze()
    group.freeze()
    assert group.frozen
    group.thaw()
    group.thaw()
    assert not group.frozen


def test_a_frozen_process_can_be_killed(make_group, inside, counter):
    group = make_group()
    member = inside(group, lambda: count_in(counter))
    group.freeze()
    group.kill()
    assert member.wait() == -signal.SIGKILL


def test_processes_that_keep_forking_are_all_killed(make_group, inside):
    from cellcrate_runtime.linux.cgroups import Resources
    from cellcrate_runtime.linux.cgroups.resources import Pids

    group = make_group(Resources(pids=Pids(limit=20)))

    def replace_oneself_for_ever() -> None:
        while True:
            try:
                if os.fork():
                    os._exit(0)  # the child goes on under a new number
            except BlockingIOError:
                pass

    member = inside(group, replace_oneself_for_ever)
    assert member.wait() == 0
    assert group.procs()
    group.kill()
    deadline = time.monotonic() + 20
    while group.procs() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert group.procs() == []


def test_killing_an_empty_group_is_fine(make_group):
    make_group().kill()
