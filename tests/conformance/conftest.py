"""Every test of this folder is run for each runtime alike."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.box import Box
from conformance.known import FAILS, LEFT_OUT
from conformance.runtimes import Runtime, program_of, reason_against
from oci import roots

_NAMES = ["cellcrate-oci", "runc", "crun"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the failures of other runtimes that are known."""
    here = Path(__file__).parent
    for item in items:
        if here not in item.path.parents:
            continue
        if (reason := FAILS.get(item.name)) is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
        if (reason := LEFT_OUT.get(item.name)) is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def rootfs() -> Iterator[Path]:
    """A root file system of this machine's programs, shared by all containers."""
    with tempfile.TemporaryDirectory(prefix="cc-conformance-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        roots.fill(Path(name) / "root")
        yield Path(name) / "root"
        assert name not in Path("/proc/self/mountinfo").read_text()


@pytest.fixture(params=_NAMES)
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Runtime:
    """Each runtime that knows what the test is about."""
    name: str = request.param
    if (reason := reason_against(name)) is not None:
        pytest.skip(reason)
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
    box = Box(runtime, rootfs, tmp_path / "bundle")
    yield box
    box.clear()
    assert box.left() == []


@pytest.fixture
def another(runtime: Runtime, rootfs: Path, tmp_path: Path) -> Iterator[Box]:
    """A second one beside it."""
    box = Box(runtime, rootfs, tmp_path / "bundle-of-another")
    yield box
    box.clear()
    assert box.left() == []
