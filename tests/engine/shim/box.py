"""A folder with a launcher and containers, as the engine would have them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cellcrate_runtime.engine import protocol
from cellcrate_runtime.engine.launcher_client import Launcher
from cellcrate_runtime.engine.shim_client import ShimConnection
from cellcrate_runtime.linux.cgroups import Cgroup, CgroupError, Resources, hierarchy
from cellcrate_runtime.linux.idmap import container_range
from cellcrate_runtime.oci import spec

AS_ROOT = os.geteuid() == 0
PATIENCE = 30  # seconds; no test should come near

_CAPABILITIES = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_SETGID",
    "CAP_SETUID",
]


@dataclass
class Container:
    """A container that was launched."""

    id: str
    folder: Path
    request: protocol.Launch
    shim: ShimConnection
    client: Client

    async def ended(self) -> protocol.ExitRecord:
        """Wait for its end, and for its shim's."""
        async with asyncio.timeout(PATIENCE):
            record = await self.shim.exited
            await self.shim.closed
        return record

    @property
    def log(self) -> str:
        """What its log says, streams one after the other."""
        lines = (self.folder / "json.log").read_bytes().splitlines()
        return "".join(json.loads(line)["log"] for line in lines)


class Client:
    """The far end of an attached connection."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection

    async def send(self, data: bytes, *, end: bool = False) -> None:
        async with asyncio.timeout(PATIENCE):
            await asyncio.get_running_loop().sock_sendall(self.connection, data)
        if end:
            self.connection.shutdown(socket.SHUT_WR)

    async def until(self, text: bytes) -> bytes:
        """Receive until a text has come."""
        content = b""
        async with asyncio.timeout(PATIENCE):
            while text not in content:
                more = await asyncio.get_running_loop().sock_recv(self.connection, 65536)
                assert more, f"{text!r} did not come, only {content!r}"
                content += more
        return content

    async def rest(self) -> bytes:
        """Receive to the end, and close."""
        content = b""
        async with asyncio.timeout(PATIENCE):
            while more := await asyncio.get_running_loop().sock_recv(self.connection, 65536):
                content += more
        self.connection.close()
        return content

    async def output(self) -> str:
        """Receive to the end: what came on both streams."""
        out, err = streams(await self.rest())
        return (out + err).decode()


def streams(content: bytes) -> tuple[bytes, bytes]:
    """Take Docker's frames apart: stdout and stderr."""
    found = {1: b"", 2: b""}
    while content:
        stream, length = struct.unpack(">B3xL", content[:8])
        found[stream] += content[8 : 8 + length]
        content = content[8 + length :]
    return found[1], found[2]


@dataclass
class Box:
    """A home for containers.

    Args:
        home: An empty folder with a short path.
        layers: What containers are made of, topmost first.
    """

    home: Path
    layers: list[str]
    cgroups: list[str] = field(default_factory=list)
    launchers: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._containers = 0
        self._name = uuid.uuid4().hex
        self._group = f"cellcrate-test-{self._name[:12]}"
        self._clients: list[socket.socket] = []
        self.run_dir.mkdir()

    @property
    def run_dir(self) -> Path:
        return self.home / "run"

    @contextlib.asynccontextmanager
    async def launcher(self) -> AsyncIterator[Launcher]:
        """A launcher, closed at the end."""
        launcher = Launcher(self.run_dir)
        launcher.start()
        try:
            yield launcher
        finally:
            if launcher.pid is not None:
                self.launchers.append(launcher.pid)
            await launcher.close()

    def request(self, config: spec.Spec, **options: object) -> protocol.Launch:
        """What to ask of a launcher; the container's folder is made."""
        self._containers += 1
        container_id = f"{self._containers:02x}{self._name}{self._name}"[:64]
        folder = self.home / container_id
        for name in ("upper", "work"):
            (folder / name).mkdir(parents=True)
        if config.linux is not None and config.linux.cgroups_path:
            config.linux.cgroups_path = f"/{self._group}/{container_id}"
            self.cgroups.append(config.linux.cgroups_path)
        (folder / "config.json").write_bytes(spec.encode(config))
        rootfs = protocol.Rootfs(
            lower=self.layers,
            upper=str(folder / "upper"),
            work=str(folder / "work"),
            mount_point=str(folder / "rootfs"),
            idmap=bool(config.linux and config.linux.uid_mappings),
        )
        assert config.process is not None
        request = protocol.Launch(
            container_id=container_id,
            bundle=str(folder),
            rootfs=rootfs,
            log=protocol.LogFile(path=str(folder / "json.log")),
            exit_file=str(folder / "exit.json"),
            run_dir=str(self.run_dir / "c" / container_id[:12]),
            tty=config.process.terminal,
        )
        for name, value in options.items():
            setattr(request, name, value)
        return request

    async def start(
        self, launcher: Launcher, script: str, *, config: spec.Spec | None = None, **options: object
    ) -> Container:
        """Start a shell script in a container, with a client attached."""
        config = config or make_config()
        assert config.process is not None
        config.process.args = ["/bin/sh", "-c", script]
        request = self.request(config, **options)
        return await self.launch(launcher, request)

    async def launch(self, launcher: Launcher, request: protocol.Launch) -> Container:
        """Start what a request says, with a client attached."""
        here, there = socket.socketpair()
        self._clients.append(here)
        request.clients = [protocol.Attachment(stdin=True)]
        with there:
            async with asyncio.timeout(PATIENCE):
                shim = await launcher.launch(request, [there.fileno()])
        folder = Path(request.bundle)
        return Container(request.container_id, folder, request, shim, Client(here))

    def check_nothing_is_left(self) -> None:
        """Fail unless processes, mounts, control groups and run folders are gone."""
        assert list((self.run_dir / "c").glob("*")) == []
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        assert [mount for mount in mounts if str(self.home) in mount] == []
        for path in self.cgroups:
            with contextlib.suppress(CgroupError):
                raise AssertionError(f"{Cgroup.open(path).directories} is left")
        deadline = time.monotonic() + PATIENCE
        while pids := list(self._processes()):  # a shim that has said its last word still leaves
            assert time.monotonic() < deadline, f"processes {pids} are left"
            time.sleep(0.01)
        for folder in self.home.glob("*/json.log.*"):
            raise AssertionError(f"{folder} is left")

    def remove(self) -> None:
        """Remove everything, also after a test that failed."""
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for client in self._clients:
            client.close()
        for path in (*self.cgroups, f"/{self._group}"):
            with contextlib.suppress(CgroupError):
                group = Cgroup.open(path)
                group.kill()
                group.delete()
        asyncio.run(self._remove_home())

    async def _remove_home(self) -> None:
        async with self.launcher() as launcher:
            await launcher.remove_trees(self.home)
        shutil.rmtree(self.home, ignore_errors=True)

    def _processes(self) -> Iterator[int]:
        """Launchers, and what they forked: all of them have our run folder among their words."""
        marker = os.fsencode(self.run_dir)
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if marker in (entry / "cmdline").read_bytes().split(b"\0"):
                    yield int(entry.name)


def make_config(*, tty: bool = False, resources: Resources | None = None) -> spec.Spec:
    """A container much like those of Docker."""
    namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"]
    mappings = []
    if AS_ROOT:
        namespaces.append("user")
        ids = container_range()
        mappings = [spec.IDMapping(container_id=0, host_id=ids.outside, size=ids.size)]
    limited = hierarchy().writable
    return spec.Spec(
        oci_version="1.2.0",
        hostname="box",
        root=spec.Root(path="rootfs"),
        process=spec.Process(
            cwd="/",
            args=["/bin/true"],
            env=["PATH=/usr/local/bin:/usr/bin:/bin"],
            terminal=tty,
            capabilities=spec.Capabilities(
                bounding=_CAPABILITIES, effective=_CAPABILITIES, permitted=_CAPABILITIES
            ),
        ),
        mounts=[
            spec.Mount(destination="/proc", type="proc", source="proc"),
            spec.Mount(
                destination="/dev", type="tmpfs", source="tmpfs", options=["nosuid", "mode=755"]
            ),
            spec.Mount(
                destination="/dev/pts",
                type="devpts",
                source="devpts",
                options=["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
            ),
            spec.Mount(destination="/tmp", type="tmpfs", source="tmpfs", options=["mode=1777"]),
        ],
        linux=spec.Linux(
            namespaces=[spec.Namespace(type=name) for name in namespaces],  # type: ignore[arg-type]
            uid_mappings=mappings,
            gid_mappings=mappings,
            cgroups_path="/" if limited else "",  # a Box gives it a path
            resources=resources if limited else None,
        ),
    )
