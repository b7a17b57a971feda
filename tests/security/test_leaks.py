"""CVE-2024-21626: what the runtime leaves open in a container leads to the host.

A descriptor of a folder of the host, or a working directory there, is a way out for a program that
inherits it, or that names it as ``/proc/self/fd/N``.
"""

from __future__ import annotations

import stat
from typing import Any

import docker
import pytest

from engine.conftest import RunningEngine

from .attacker import attack, attack_by_exec, victim

DESCRIPTORS = """
found = {}
for name in os.listdir("/proc/self/fd"):
    try:
        found[name] = [os.fstat(int(name)).st_mode, os.readlink(f"/proc/self/fd/{name}")]
    except OSError:
        pass  # the one that the folder was read with
tell({"open": found, "cwd": os.getcwd(), "root": sorted(os.listdir("/proc/self/root/"))})
"""


def check(found: dict[str, Any]) -> None:
    assert sorted(found["open"]) == ["0", "1", "2"]
    for mode, target in found["open"].values():
        assert stat.S_ISFIFO(mode) or target in ("/dev/null", "/dev/pts/0", "/dev/pts/1")
    assert found["cwd"] == "/"
    assert "proc" in found["root"]


@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("init", [False, True])
def test_a_first_process_has_its_streams_alone(
    engine: RunningEngine, tty: bool, init: bool
) -> None:
    check(attack(engine, DESCRIPTORS, tty=tty, init=init))


@pytest.mark.parametrize("tty", [False, True])
def test_a_joining_process_has_its_streams_alone(engine: RunningEngine, tty: bool) -> None:
    check(attack_by_exec(victim(engine), DESCRIPTORS, tty=tty))


WAYS_OUT = [f"/proc/{who}/fd/{n}" for who in ("self", "1") for n in (3, 7)]


@pytest.mark.parametrize("way", [*WAYS_OUT, "/proc/self/fd/7/../../..", "/proc/1/root/..", "/link"])
def test_a_working_directory_that_is_a_descriptor(engine: RunningEngine, way: str) -> None:
    """Whichever descriptors the runtime may have had: none is where a program starts."""
    container = victim(engine)
    assert container.exec_run(["ln", "-s", "/proc/self/fd/7", "/link"]).exit_code == 0
    done = container.exec_run(["pwd"], workdir=way)
    assert done.exit_code == 126
    assert b"working directory" in done.output
    if way in WAYS_OUT:
        created = engine.client.containers.create(engine.image, ["pwd"], working_dir=way)
        with pytest.raises(docker.errors.APIError, match="working directory"):
            created.start()


def test_a_working_directory_above_the_root_is_the_root(engine: RunningEngine) -> None:
    program = "tell([os.getcwd(), os.stat('.').st_ino == os.stat('/').st_ino])"
    assert attack(engine, program, working_dir="/../../..") == ["/", True]
    joined = attack_by_exec(victim(engine), program, workdir="/../../..")
    assert joined == ["/", True]


def test_the_environment_is_the_containers_own(engine: RunningEngine) -> None:
    own = {"HOME", "HOSTNAME", "LANG", "PATH", "LC_CTYPE"}
    assert set(attack(engine, "tell(list(os.environ))")) <= own
    assert set(attack_by_exec(victim(engine), "tell(list(os.environ))")) <= own
