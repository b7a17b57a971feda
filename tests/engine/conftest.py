"""A real engine in a folder of its own, and the proof that it leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from cellcrate_runtime.activation import engine_pid, ensure_engine, log_file
from cellcrate_runtime.images import BASE_REFERENCE, ImageStore
from cellcrate_runtime.images.subordinate import remove_tree
from cellcrate_runtime.linux.cgroups import hierarchy
from cellcrate_runtime.paths import Paths
from images.registries import Registry

PATIENCE = 30.0  # seconds


def eventually(condition: Callable[[], Any], what: str = "") -> Any:
    """Wait until a condition holds, and return what it returned."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"did not happen: {what or condition}"
        time.sleep(0.01)
    return found


class Answer:
    """What an engine answered to a request made by hand."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }

    @property
    def message(self) -> str:
        """The message of an error."""
        import json

        assert self.headers["content-type"] == "application/json", self.body
        return str(json.loads(self.body)["message"])


class RunningEngine:
    """An engine, with the ways to treat it well and badly.

    Attributes:
        paths: Where its state is.
        client: docker-py, connected to it.
        image: The name of the base image, which is there.
    """

    image = BASE_REFERENCE

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.client: Any = None
        self._seen: set[str] = set()
        self.start()

    @property
    def socket(self) -> Path:
        """Where it answers."""
        return self.paths.socket

    @property
    def pid(self) -> int:
        """Its process id."""
        pid = engine_pid(self.socket)
        assert pid is not None, "no engine runs"
        return pid

    @property
    def log(self) -> str:
        """What it logged."""
        return log_file(self.paths).read_text()

    def start(self) -> None:
        """Start it, or find it running."""
        with _environment(CELLCRATE_HOME=str(self.paths.data.parent)):
            ensure_engine(self.paths)
        self.client = docker.DockerClient(base_url=f"unix://{self.socket}", timeout=60)

    def stop(self) -> None:
        """Let it leave, as `cellcrate engine stop` does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it, with no chance to do anything more."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        self._note_containers()
        self.client.close()
        pid = self.pid
        os.kill(pid, number)
        eventually(lambda: not runs(pid), f"the engine ends by signal {number}")
        # A killed process's threads end one by one, and the last of them closes its files.
        eventually(lambda: engine_pid(self.socket) is None, "nobody listens any more")

    def run(self, command: Any, **options: Any) -> Any:
        """Create and start a container of the base image."""
        return self.client.containers.run(self.image, command, detach=True, **options)

    def request(
        self, method: str, path: str, body: bytes = b"", content: str = "application/json"
    ) -> Answer:
        """Make a request by hand."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(self.socket))
            kind = f"Content-Type: {content}\r\n" if body else ""
            head = (
                f"{method} {path} HTTP/1.1\r\nHost: cellcrate\r\nConnection: close\r\n{kind}"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode() + body)
            raw = b""
            while piece := connection.recv(65536):
                raw += piece
        return Answer(raw)

    # -- what is left --------------------------------------------------------------------------

    def _note_containers(self) -> None:
        """Remember the containers there were, those that are removed already included."""
        self._seen |= {event["id"] for event in self.events() if "id" in event}
        # The group that is kept ready for the next container goes with the engine.
        self._seen |= {path.name for path in (self.paths.run / "ready").glob("*")}

    def events(self, **filters: str) -> list[dict[str, Any]]:
        """Return what has happened so far, in order."""
        until = f"{time.time():.9f}"
        found = self.client.events(since=1, until=until, decode=True, filters=filters)
        return list(found)

    def remove_all(self) -> None:
        """Remove all containers by force."""
        self._note_containers()
        for container in self.containers():
            with contextlib.suppress(docker.errors.APIError):  # it may be removing itself
                container.remove(force=True)
        eventually(lambda: not self.containers(), "all containers are gone")

    def containers(self) -> list[Any]:
        """Return all containers, whether they run or not."""
        found: list[Any] = self.client.containers.list(all=True, ignore_removed=True)
        return found

    def close(self) -> None:
        """Remove everything, stop the engine, and see that nothing is left."""
        try:
            if engine_pid(self.socket) is None:
                self.start()
            self.remove_all()
            self.stop()
            with contextlib.suppress(AssertionError):
                eventually(lambda: not self.leftovers())  # what is still there is said below
        finally:
            left = self.leftovers()
            for pid in _processes_of(self.paths.data.parent):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            remove_tree(self.paths.data.parent)
        assert not left, left

    def leftovers(self) -> list[str]:
        """Return what this engine left on the machine, with no container there any more."""
        home = self.paths.data.parent
        left = [f"process {pid}: {_command(pid)}" for pid in _processes_of(home)]
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        left += [f"mount {line}" for line in mounts if str(home) in line]
        left += [f"file {path}" for path in (self.paths.run / "ready").glob("*")]
        return left + self.leftovers_of_containers()

    def leftovers_of_containers(self) -> list[str]:
        """Return the files and control groups that containers left."""
        left = [f"file {path}" for path in self.paths.containers.iterdir()]
        left += [f"file {path}" for path in (self.paths.run / "c").iterdir()]
        return left + [f"cgroup {path}" for path in _cgroups_of(self._seen)]


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def runs(pid: int) -> bool:
    """Whether a process runs; one that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _processes_of(home: Path) -> list[int]:
    """Return the engines, launchers and shims of a home, which have its name in their environment.

    The process of the tests itself had it for a moment only, and not when it was executed.
    """
    mark = f"CELLCRATE_HOME={home}\0".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes() and runs(int(folder.name)):
                    found.append(int(folder.name))
    return found


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return "gone"


def _cgroups_of(containers: set[str]) -> list[str]:
    """Return the control groups that containers still have."""
    found = hierarchy()
    roots = {place.root for place in found.controllers.values()} | {found.unified or ""}
    return [
        f"{root}/cellcrate/{container}"
        for root in roots - {""}
        for container in containers
        if os.path.isdir(f"{root}/cellcrate/{container}")
    ]


@pytest.fixture
def limits() -> None:
    """Skip where this user can have no control groups, and so no limits and no pause."""
    found = hierarchy()
    if not found.has("memory"):
        pytest.skip(str(found.unavailable("memory")))


@pytest.fixture(scope="session")
def base_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that has the base image, for engines to begin with."""
    store = tmp_path_factory.mktemp("base") / "images"
    ImageStore(store).ensure_base()
    return store


@pytest.fixture(scope="session")
def make_engine(base_image: Path) -> Callable[[], RunningEngine]:
    """Start engines; the caller closes them."""

    return lambda: RunningEngine(make_home(base_image))


def make_home(base_image: Path) -> Paths:
    """Make a home for an engine, with the base image."""
    home = Path(tempfile.mkdtemp(prefix="cc", dir="/tmp"))  # short: see unix(7), sun_path
    paths = Paths(data=home / "data", run=home / "run")
    paths.make()
    paths.images.rmdir()
    # The marks of layers that are not on the disk yet come and go in the background.
    ignore = shutil.ignore_patterns("unsettled")
    shutil.copytree(base_image, paths.images, True, ignore, copy_function=_link)
    return paths


def _link(source: str, target: str) -> str:
    """Share what never changes, blobs and layers; copy the rest."""
    if "/layers/" in source or "/blobs/" in source:
        os.link(source, target, follow_symlinks=False)
    else:
        shutil.copy2(source, target)
    return target


@pytest.fixture(scope="module")
def module_engine(make_engine: Callable[[], RunningEngine]) -> Iterator[RunningEngine]:
    """An engine that the tests of a module share."""
    engine = make_engine()
    yield engine
    engine.close()


@pytest.fixture
def engine(module_engine: RunningEngine, request: pytest.FixtureRequest) -> Iterator[RunningEngine]:
    """An engine without containers, shared with the other tests of the module."""
    before = len(module_engine.log)
    yield module_engine
    if engine_pid(module_engine.socket) is None:
        module_engine.start()
    module_engine.remove_all()
    print(module_engine.log[before:])  # shown with a test that fails


@pytest.fixture
def own_engine(make_engine: Callable[[], RunningEngine]) -> Iterator[RunningEngine]:
    """An engine that a test may kill."""
    engine = make_engine()
    try:
        yield engine
    finally:
        print(engine.log)
        engine.close()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that anybody may use."""
    with Registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that wants a password."""
    with Registry(tmp_path_factory.mktemp("closed"), password=True) as registry:
        yield registry
