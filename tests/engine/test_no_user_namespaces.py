"""Where root can make no user namespaces, containers run, and it is said what that means."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from cellcrate_runtime.linux import mounts, namespaces

from .conftest import RunningEngine, make_home
from .test_isolation import output
from .unmappable import UnmappableEngine, in_a_thread

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="An ordinary user's engine cannot do without."),
]


class SandboxedEngine(UnmappableEngine):
    """An engine that can be started below another root, where nobody can make user namespaces.

    Attributes:
        sandboxed: Whether it is started there.
    """

    sandboxed = True

    def start(self) -> None:
        """Start it, or find it running."""
        if self.sandboxed:
            in_a_thread(lambda: (_leave_for_a_chroot(), RunningEngine.start(self)))
        else:
            super().start()


def _leave_for_a_chroot() -> None:
    """Have this thread see the same files below another root; see clone(2), EPERM."""
    namespaces.unshare(namespaces.FLAGS["mount"])
    mounts.set_propagation("/", mounts.MS_PRIVATE | mounts.MS_REC)
    place = os.open("/mnt", os.O_PATH)
    mounts.bind("/", place, recursive=True)
    os.close(place)
    os.chroot("/mnt")
    os.chdir("/")


@pytest.fixture
def engine(base_image: Path) -> Iterator[SandboxedEngine]:
    """An engine there."""
    engine = SandboxedEngine(make_home(base_image))
    try:
        yield engine
    finally:
        print(engine.log)
        engine.close()


def test_root_in_a_container_is_root_outside_and_that_is_said(engine: SandboxedEngine) -> None:
    assert output(engine, "cat /proc/self/uid_map").split()[:2] == ["0", "0"]
    info = engine.client.info()
    assert not any("userns" in option for option in info["SecurityOptions"])
    assert dict(info["DriverStatus"])["Translation of owners"] == "none"
    (warning,) = (line for line in info["Warnings"] if "root of this computer" in line)
    assert "no user namespace can be made: Operation not permitted" in warning
    created = engine.client.api.create_container(engine.image, ["true"])
    assert any("its root is root outside, too" in line for line in created["Warnings"])
    request = {"Image": engine.image, "Cmd": ["true"], "HostConfig": {"UsernsMode": "private"}}
    refused = engine.request("POST", "/containers/create", json.dumps(request).encode())
    assert refused.status == 400
    assert "a user namespace cannot be had: no user namespace can be made" in refused.message


def test_a_container_with_shifted_files_is_not_started(engine: SandboxedEngine) -> None:
    """Its files are those of other users, whom the host's root would not be."""
    engine.stop()
    engine.sandboxed = False
    engine.start()
    made = engine.run(["true"])
    made.wait()
    engine.stop()
    engine.sandboxed = True
    engine.start()
    with pytest.raises(docker.errors.APIError, match="no user namespace can be made"):
        engine.client.containers.get(made.id).start()
