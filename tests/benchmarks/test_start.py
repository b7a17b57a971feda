"""Start to first byte of the embedded runtime, runc and crun, on the same bundle.

What is measured is what each costs whoever drives it. The embedded runtime is asked through its
launcher, as the engine asks it; runc and crun are executed, as Docker's and Podman's shims do.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from report import Table, interleaved

from cellcrate_runtime.engine.launcher_client import Launcher
from cellcrate_runtime.engine.oci_config.devices import default_rules
from cellcrate_runtime.engine.protocol import Attachment, Launch, LogFile
from cellcrate_runtime.engine.shim.ready import group_path
from cellcrate_runtime.images import ImageStore
from cellcrate_runtime.linux import mounts, namespaces
from cellcrate_runtime.linux.seccomp import default_profile

pytestmark = [pytest.mark.benchmark, pytest.mark.root, pytest.mark.timeout(300)]

ROUNDS = 40
PATIENCE = 10.0  # seconds


class Bundle:
    """An OCI bundle whose program writes one line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ids = itertools.count()

    @classmethod
    def make(cls, folder: Path, rootfs: Path, *, cgroup: bool) -> Bundle:
        """Write a bundle: runc's own template, with the seccomp filter of Docker's containers."""
        folder.mkdir()
        subprocess.run(["runc", "spec"], cwd=folder, check=True)
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        config["root"] = {"path": str(rootfs), "readonly": True}
        process = config["process"]
        process.update(terminal=False, args=["echo", "first"])
        process["rlimits"] = []
        linux = config["linux"]
        linux["seccomp"] = msgspec.to_builtins(default_profile(frozenset({"CAP_SYS_CHROOT"})))
        linux["seccomp"].pop("flags", None)  # runc 1.1 takes none
        linux["resources"] = {}
        if cgroup:
            rules = default_rules(privileged=False)
            linux["resources"]["devices"] = msgspec.to_builtins(rules)
            linux["cgroupsPath"] = group_path(f"benchmark-{os.getpid()}")
        (folder / "config.json").write_text(json.dumps(config))
        return cls(folder)

    def move_cgroup(self, path: str) -> None:
        """Have the next container in another control group."""
        self._change("linux", cgroupsPath=path)

    def execute(self, *args: str) -> None:
        """Have the next container execute another program."""
        self._change("process", args=args)

    def _change(self, part: str, **members: object) -> None:
        file = self.folder / "config.json"
        config = json.loads(file.read_text())
        config[part].update(members)
        file.write_text(json.dumps(config))

    def name(self) -> str:
        """A container id that was not used before."""
        return f"benchmark-{os.getpid()}-{next(self._ids)}"


@pytest.fixture(scope="module")
def rootfs(folder: Path) -> Path:
    """All layers of the base image in one folder."""
    store = ImageStore(folder / "images")
    rootfs = folder / "rootfs"
    for layer in reversed(store.lower_dirs(store.ensure_base())):
        shutil.copytree(layer, rootfs, symlinks=True, dirs_exist_ok=True)
    return rootfs


@pytest.fixture
def one_cgroup_version() -> Iterator[None]:
    """Where v2 is mounted beside v1, hide it from this test: crun 1.8 does not work beside it."""
    unified = Path("/sys/fs/cgroup/unified")
    if not unified.is_mount():
        yield
        return
    before = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    namespaces.unshare(namespaces.FLAGS["mount"])
    try:
        mounts.set_propagation("/", mounts.MS_PRIVATE | mounts.MS_REC)
        mounts.unmount(str(unified), mounts.MNT_DETACH)
        yield
    finally:
        namespaces.setns(before, namespaces.FLAGS["mount"])
        os.close(before)


class Embedded:
    """The embedded runtime behind a warm launcher."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._folder = folder
        self._launcher = self._loop.run_until_complete(self._warm())

    async def _warm(self) -> Launcher:
        (self._folder / "run" / "c").mkdir(parents=True)
        launcher = Launcher(self._folder / "run")
        launcher.start()
        return launcher

    def first_byte(self, bundle: Bundle) -> float:
        """Return the seconds from the request to the first byte of the program's output.

        The container has the id for which the launcher is ready, as the engine's next one has.
        """
        return self._loop.run_until_complete(self._first_byte(bundle))

    async def _first_byte(self, bundle: Bundle) -> float:
        name = self._launcher.upcoming_id()
        bundle.move_cgroup(group_path(name))
        request = Launch(
            container_id=name,
            bundle=str(bundle.folder),
            rootfs=None,
            log=LogFile(path=str(self._folder / "log")),
            exit_file=str(self._folder / "exit.json"),
            run_dir=str(self._folder / "run" / "c" / name),
            clients=[Attachment()],
        )
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            begin = time.perf_counter()
            starting = asyncio.ensure_future(self._launcher.launch(request, [theirs.fileno()]))
            output = await asyncio.wait_for(
                asyncio.get_running_loop().sock_recv(ours, 100), PATIENCE
            )
            seconds = time.perf_counter() - begin
            connection = await starting
        record = await connection.exited
        assert output.endswith(b"first\n"), record
        await connection.closed
        return seconds

    def close(self) -> None:
        """Let the launcher leave."""
        self._loop.run_until_complete(self._launcher.close())
        self._loop.close()


@pytest.fixture
def embedded(folder: Path) -> Iterator[Embedded]:
    embedded = Embedded(folder / "embedded")
    yield embedded
    embedded.close()
    shutil.rmtree(folder / "embedded")


def executed(command: list[str], bundle: Bundle) -> Callable[[], float]:
    """Return what measures a runtime's ``run`` command."""

    def first_byte() -> float:
        begin = time.perf_counter()
        with subprocess.Popen(
            [*command, bundle.name()],
            cwd=bundle.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        ) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            output = child.stdout.read(100)
            seconds = time.perf_counter() - begin
            complaint = child.stderr.read()
        assert output == b"first\n", complaint
        assert child.returncode == 0
        return seconds

    return first_byte


def test_start_to_first_byte(
    one_cgroup_version: None,
    embedded: Embedded,
    rootfs: Path,
    folder: Path,
    show: Callable[[Table], None],
) -> None:
    own = Bundle.make(folder / "own", rootfs, cgroup=True)
    limited = Bundle.make(folder / "limited", rootfs, cgroup=True)
    plain = Bundle.make(folder / "plain", rootfs, cgroup=False)
    crun = ["crun", "--cgroup-manager=cgroupfs", "run"]
    crun_without = ["crun", "--cgroup-manager=disabled", "run"]
    rows = interleaved(
        ROUNDS,
        {
            "embedded": lambda: embedded.first_byte(own),
            "crun": executed(crun, limited),
            "crun, without a cgroup": executed(crun_without, plain),
            "runc": executed(["runc", "run"], limited),
        },
    )
    show(Table("Start to first byte, on the same bundle", rows=rows))
