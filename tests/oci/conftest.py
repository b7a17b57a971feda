"""Identities to make containers with, a root to make them from, and proof that nothing is left."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cellcrate_runtime.linux import rootless
from oci import roots
from oci.identities import Identity, in_child


@pytest.fixture(scope="session")
def ordinary_uid() -> Iterator[int]:
    """An ordinary user with subordinate ids: this one, or one made for the tests."""
    if os.getuid() != 0:
        yield os.getuid()
        return
    if shutil.which("useradd") is None:
        pytest.skip("there is no useradd to make an ordinary user with")
    # Of this run and this folder of tests alone: others may go on beside it.
    user = f"cellcrate-oci-{secrets.token_hex(4)}"
    subprocess.run(["useradd", "--no-create-home", user], check=True, capture_output=True)
    try:
        yield pwd.getpwnam(user).pw_uid
    finally:
        subprocess.run(["userdel", user], check=True, capture_output=True)


@pytest.fixture(scope="session")
def base(ordinary_uid: int) -> Iterator[Path]:
    """A folder with root file systems, for root and for the ordinary user, open to both."""
    with tempfile.TemporaryDirectory(prefix="cc-oci-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        roots.fill(folder / "root")
        own = folder / "root-of-user"
        subprocess.run(["cp", "-a", folder / "root", own], check=True)
        subprocess.run(["chown", "-R", f"{ordinary_uid}:{ordinary_uid}", own], check=True)
        scratch = folder / "scratch"
        scratch.mkdir()
        scratch.chmod(0o1777)
        yield folder
        if os.getuid() != 0:
            in_child(lambda: _delete_as_root_of_user(scratch))


def _delete_as_root_of_user(folder: Path) -> None:
    """Delete what belongs to subordinate ids, which its owner is not allowed to."""
    rootless.enter_user_namespace()
    shutil.rmtree(folder)


@pytest.fixture(
    params=[
        pytest.param("host", marks=pytest.mark.root),
        pytest.param("mapped", marks=pytest.mark.root),
        pytest.param("rootless", marks=pytest.mark.rootless),
    ]
)
def identity(request: pytest.FixtureRequest, base: Path) -> Identity:
    """Each way to make containers that this user may use."""
    if request.param == "rootless":
        return Identity("rootless", request.getfixturevalue("ordinary_uid"), base)
    if os.getuid() != 0:
        pytest.skip("needs to be root")
    return Identity(request.param, 0, base)


@pytest.fixture
def mapped(base: Path) -> Identity:
    """Containers whose ids are mapped to others of the host."""
    if os.getuid() != 0:
        pytest.skip("needs to be root")
    return Identity("mapped", 0, base)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No test leaves a process, or a mount that the host sees."""
    before = set(psutil.Process().children())  # of other tests' fixtures
    yield
    assert "/cc-oci-" not in Path("/proc/self/mountinfo").read_text()
    assert set(psutil.Process().children()) <= before
