"""Having an engine running: once, however many ask, and with words when it cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellcrate_runtime.activation import (
    EngineStartError,
    engine_pid,
    ensure_engine,
    is_answering,
    log_file,
)
from cellcrate_runtime.paths import Paths

from .conftest import eventually, runs


@pytest.fixture
def paths() -> Iterator[Paths]:
    """A home without an engine; whatever is started there is ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="cc", dir="/tmp") as home:
        found = Paths(data=Path(home) / "data", run=Path(home) / "run")
        yield found
        pid = engine_pid(found.socket)
        if pid is not None:
            os.kill(pid, 15)
            eventually(lambda: not runs(pid))


def test_many_who_ask_at_once_get_the_same_engine(paths: Paths) -> None:
    code = (
        "import sys; from pathlib import Path; from cellcrate_runtime.paths import Paths;"
        "from cellcrate_runtime.activation import *;"
        "s = ensure_engine(Paths(Path(sys.argv[1]), Path(sys.argv[2])));"
        "print(engine_pid(s))"
    )
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(paths.data), str(paths.run)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(5)
    ]
    answers = {process.communicate(timeout=60)[0] for process in asking}
    assert answers == {f"{engine_pid(paths.socket)}\n"}


def test_it_is_nobodys_child_and_survives_its_callers_session(paths: Paths) -> None:
    ensure_engine(paths)
    pid = engine_pid(paths.socket)
    assert pid is not None
    assert os.getsid(pid) != os.getsid(0)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_a_socket_that_nobody_serves_is_replaced(paths: Paths) -> None:
    ensure_engine(paths)
    pid = engine_pid(paths.socket)
    assert pid is not None
    os.kill(pid, 9)
    eventually(lambda: engine_pid(paths.socket) is None)
    assert paths.socket.exists()
    assert not is_answering(paths.socket)
    ensure_engine(paths)
    assert engine_pid(paths.socket) not in (None, pid)


def test_an_engine_that_cannot_start_says_why(paths: Paths) -> None:
    paths.make()
    (paths.run / "docker.sock").mkdir()
    with pytest.raises(EngineStartError, match="exists and is not a socket") as error:
        ensure_engine(paths)
    assert str(log_file(paths)) in str(error.value)


def test_a_path_that_is_too_long_for_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    with pytest.raises(EngineStartError, match="too long for a socket"):
        ensure_engine(Paths(data=deep / "data", run=deep / "run"))


@pytest.mark.root
def test_folders_of_somebody_else_are_refused(paths: Paths) -> None:
    paths.make()
    os.chown(paths.data, 12345, 12345)
    with pytest.raises(PermissionError, match="belongs to user 12345"):
        ensure_engine(paths)


def test_where_no_engine_is(paths: Paths) -> None:
    assert not is_answering(paths.socket)
    assert engine_pid(paths.socket) is None


def test_only_the_standard_library_is_imported() -> None:
    code = (
        "import sys; import cellcrate_runtime.activation;"
        "print(*sorted({m.partition('.')[0] for m in sys.modules} - sys.stdlib_module_names))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "runtime")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert set(done.stdout.split()) <= {"__main__", "cellcrate_runtime"}, done.stderr
