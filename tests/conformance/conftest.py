"""Every test of this folder is run for each runtime alike."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conformance.box import Box
from conformance.known import FAILS, LEFT_OUT, TRIED, reason
from conformance.runtimes import Runtime, program_of, reason_against, release_of
from oci import roots

_NAMES = ["cellcrate-oci", "runc", "crun"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the failures of other runtimes that are known."""
    here = Path(__file__).parent
    for item in items:
        if here not in item.path.parents:
            continue
        if (why := reason(FAILS, item.name)) is not None:
            item.add_marker(pytest.mark.xfail(reason=why, strict=_is_tried(item.name)))
        if (why := reason(LEFT_OUT, item.name)) is not None:
            item.add_marker(pytest.mark.skip(reason=why))


def _is_tried(test: str) -> bool:
    """Whether what is known was found out with the versions that are installed."""
    names = [name for name in _NAMES if f"[{name}" in test]
    return all(release_of(name) == TRIED.get(name, release_of(name)) for name in names)


@pytest.fixture(scope="session")
def rootfs() -> Iterator[Path]:
    """A root file system of this machine's programs, shared by all containers."""
    with tempfile.TemporaryDirectory(prefix="cc-conformance-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        roots.fill(Path(name) / "root")
        yield Path(name) / "root"
        assert name not in Path("/proc/self/mountinfo").read_text()


# The others are here to prove the tests right, for which one user is enough.
_ALIKE = [_NAMES[0], *(pytest.param(name, marks=pytest.mark.once) for name in _NAMES[1:])]


@pytest.fixture(params=_ALIKE)
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Runtime:
    """Each runtime that knows what the test is about."""
    name: str = request.param
    if (why := reason_against(name)) is not None:
        pytest.skip(why)
    program = program_of(name)
    assert program is not None
    runtime = Runtime(name, program, tmp_path / "state")
    since = request.node.get_closest_marker("since")
    if since is not None and runtime.version < since.args[0]:
        said, needed = (".".join(map(str, version)) for version in (runtime.version, since.args[0]))
        pytest.skip(f"{name} says it knows version {said}; this came with {needed}")
    return runtime


@pytest.fixture
def box(runtime: Runtime, rootfs: Path, tmp_path: Path) -> Iterator[Box]:
    """A container to be, of which nothing is left when the test ends."""
    with _gone_afterwards(Box(runtime, rootfs, tmp_path / "bundle")) as box:
        yield box


@pytest.fixture
def another(runtime: Runtime, rootfs: Path, tmp_path: Path) -> Iterator[Box]:
    """A second one beside it."""
    with _gone_afterwards(Box(runtime, rootfs, tmp_path / "bundle-of-another")) as box:
        yield box


@contextmanager
def _gone_afterwards(box: Box) -> Iterator[Box]:
    yield box
    box.clear()
    left = box.left()
    for group in box.groups():
        group.rmdir()
    assert left == []
