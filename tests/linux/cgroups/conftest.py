"""Groups and processes that are gone after the test, whatever happened in it."""

from __future__ import annotations

import itertools
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from cellcrate_runtime.linux import cgroups, processes
from cellcrate_runtime.linux.cgroups import Cgroup, Resources, systemd
from cellcrate_runtime.linux.cgroups.hierarchy import Hierarchy, Place

PARENT = f"/cellcrate-test-{os.getpid()}"
_numbers = itertools.count()

MakeGroup = Callable[..., Cgroup]


@dataclass
class Member:
    """A process in a group."""

    pid: int
    status: int | None = None

    def wait(self) -> int:
        """Return the exit status, or the negative number of the signal that ended it."""
        if self.status is None:
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
        return self.status


SOMEBODY = 54321  # an ordinary user that no test machine has
assert systemd.SCOPE  # imported now: children that become somebody may not read this Python

RunInside = Callable[[Cgroup, Callable[[], object]], Member]


@pytest.fixture(params=["as it is", "v1 alone"])
def trees(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Hierarchy:
    """This machine's control groups; a hybrid machine is tried without its v2 tree as well."""
    found = cgroups.hierarchy()
    if not found.writable:
        pytest.skip(f"No control group can be made here: {found.reason}")
    if request.param == "v1 alone":
        if found.kind == "v2":
            pytest.skip("There are no v1 controllers here.")
        monkeypatch.setattr(cgroups.group, "hierarchy", lambda: _without_v2(found))
        return _without_v2(found)
    return found


def _without_v2(found: Hierarchy) -> Hierarchy:
    v1: dict[str, Place] = {n: p for n, p in found.controllers.items() if p.version == 1}
    return Hierarchy("v1", v1)


@pytest.fixture
def make_group(trees: Hierarchy) -> Iterator[MakeGroup]:
    """Make groups that are killed and removed after the test."""
    made: list[Cgroup] = []

    def make(resources: Resources | None = None) -> Cgroup:
        group = Cgroup.create(f"{PARENT}/{next(_numbers)}", resources)
        made.append(group)
        return group

    yield make
    for group in made:
        group.kill()
        _reap_all()
        group.delete()
    cgroups.tidy(PARENT)


def _reap_all() -> None:
    """Collect the children that were just killed; those of other fixtures are gone by now."""
    for member in _members:
        member.wait()
    _members.clear()


_members: list[Member] = []


@pytest.fixture
def inside(make_group: MakeGroup) -> RunInside:
    """Run a function in a new process in a group; it starts when it is in."""

    def run(group: Cgroup, function: Callable[[], object]) -> Member:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            _be_the_child(reader, writer, function)
        member = Member(pid)
        _members.append(member)
        os.close(reader)
        try:
            group.add(pid)
            os.write(writer, b"!")
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        finally:
            os.close(writer)
        return member

    return run


def _be_the_child(reader: int, writer: int, function: Callable[[], object]) -> None:
    status = 99
    try:
        os.close(writer)
        signal.alarm(60)  # nothing here lasts that long, even if the tests are killed
        if os.read(reader, 1):
            function()
            status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


@pytest.fixture
def somebody() -> int:
    """The id of an ordinary user."""
    return SOMEBODY


InChild = Callable[[Callable[[], object]], None]
AsSomebody = Callable[..., None]


@pytest.fixture
def in_child() -> InChild:
    """Run a function in a child of this process, and fail where it fails."""
    return _in_child


@pytest.fixture
def as_somebody() -> AsSomebody:
    """The same for a child that is an ordinary user."""

    def run(function: Callable[[], object], in_group: str | None = None) -> None:
        def life() -> None:
            if in_group is not None:
                with open(f"{in_group}/cgroup.procs", "w") as file:
                    file.write("0")
            _become_somebody()
            function()

        _in_child(life)

    return run


def _in_child(life: Callable[[], object]) -> None:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            life()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "see the child's traceback"


def _become_somebody() -> None:
    os.setgroups([])
    os.setresgid(SOMEBODY, SOMEBODY, SOMEBODY)
    os.setresuid(SOMEBODY, SOMEBODY, SOMEBODY)
    processes.show_to_others()  # /proc/self is root's after a change of user, until it is undone
    os.environ.pop("XDG_RUNTIME_DIR", None)  # root's
    os.environ.pop("DBUS_SESSION_BUS_ADDRESS", None)
    cgroups.hierarchy.cache_clear()
