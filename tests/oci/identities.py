"""Containers for tests: as root of the host, with mapped ids, and as an ordinary user.

Everything a test makes is made in a child of the test process, in a mount namespace that dies with
it, as a shim would.
"""

from __future__ import annotations

import os
import pickle
import pwd
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cellcrate_runtime.linux import idmap, mounts, namespaces, rootless
from cellcrate_runtime.linux.overlay import mount_overlay
from cellcrate_runtime.oci.container import Stdio, create
from cellcrate_runtime.oci.spec import (
    Capabilities,
    IDMapping,
    Linux,
    Mount,
    Namespace,
    Process,
    Root,
    Spec,
)

T = TypeVar("T")

DEFAULT_CAPABILITIES = [
    f"CAP_{name}"
    for name in [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
]


@dataclass
class Outcome:
    """What a program left behind."""

    status: int
    stdout: str
    stderr: str


@dataclass
class Layers:
    """The folders of one container's root."""

    lower: str
    upper: str
    work: str
    target: str


@dataclass
class Identity:
    """One of the three ways to make containers."""

    name: str
    uid: int
    base: Path

    @property
    def maps_ids(self) -> bool:
        return self.name == "mapped"

    @property
    def outside_root(self) -> int:
        """Who the container's root is on the host."""
        if self.maps_ids:
            return idmap.container_range().outside
        return self.uid

    def spec(self, *args: str, **process: object) -> Spec:
        """A configuration as Docker would write it."""
        return _spec(self.maps_ids, list(args), process)

    def in_shim(self, work: Callable[[str], T]) -> T:
        """Do something as a shim does, with a fresh root mounted; its result, or its exception.

        ``work`` is given the root's path.
        """
        return in_child(lambda: work(self._become_shim()))

    def run(self, spec: Spec, **options: object) -> Outcome:
        """Run a container to its end."""
        return self.in_shim(lambda root: run_to_end(spec, root, **options))

    def sh(self, script: str, change: Callable[[Spec], None] | None = None) -> Outcome:
        """Run a script in a container."""
        spec = self.spec("sh", "-c", script)
        if change is not None:
            change(spec)
        return self.run(spec)

    def _become_shim(self) -> str:
        if self.name == "rootless" and os.getuid() == 0:
            account = pwd.getpwuid(self.uid)
            os.setgroups([account.pw_gid])
            os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
            os.setresuid(self.uid, self.uid, self.uid)
        folder = tempfile.mkdtemp(dir=self.base / "scratch")
        root = "root-of-user" if self.name == "rootless" else "root"
        layers = Layers(str(self.base / root), *(f"{folder}/{n}" for n in "uwt"))
        for path in (layers.upper, layers.work, layers.target):
            os.mkdir(path)
        if self.name == "rootless":
            rootless.enter_user_namespace()
        namespaces.unshare(namespaces.FLAGS["mount"])
        mounts.set_propagation("/", mounts.MS_REC | mounts.MS_SLAVE)
        userns = None
        if self.maps_ids:
            range_ = idmap.container_range()
            userns = idmap.make_user_namespace([range_], [range_])
        mount_overlay(
            [layers.lower],
            layers.upper,
            layers.work,
            layers.target,
            userxattr=self.name == "rootless",
            idmap_userns_fd=userns,
        )
        return layers.target


def run_to_end(spec: Spec, root: str, **options: object) -> Outcome:
    """Create, start and wait, collecting the output."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with open(os.devnull, "rb") as nothing:
            stdio = Stdio(nothing.fileno(), out.fileno(), err.fileno())
            process = create(spec, rootfs=root, stdio=stdio, cgroup=None, **options)  # type: ignore[arg-type]
        process.start()
        _, status = os.waitpid(process.pid, 0)
        os.close(process.pidfd)
        out.seek(0)
        err.seek(0)
        return Outcome(os.waitstatus_to_exitcode(status), out.read().decode(), err.read().decode())


def _spec(maps_ids: bool, args: list[str], process: dict[str, object]) -> Spec:
    types = ["mount", "pid", "network", "uts", "ipc", "cgroup"]
    mappings = []
    if maps_ids:
        types.append("user")
        range_ = idmap.container_range()
        mappings = [IDMapping(container_id=0, host_id=range_.outside, size=range_.size)]
    names = DEFAULT_CAPABILITIES
    settings = {
        "cwd": "/",
        "env": ["PATH=/bin"],
        "capabilities": Capabilities(bounding=names, permitted=names, effective=names),
    }
    return Spec(
        oci_version="1.2.0",
        root=Root(path="rootfs"),
        process=Process(args=args, **(settings | process)),  # type: ignore[arg-type]
        hostname="box",
        mounts=_default_mounts(),
        linux=Linux(
            namespaces=[Namespace(type=type_) for type_ in types],  # type: ignore[arg-type]
            uid_mappings=mappings,
            gid_mappings=mappings,
            masked_paths=["/proc/kcore", "/proc/keys", "/proc/acpi", "/sys/firmware"],
            readonly_paths=["/proc/bus", "/proc/sys"],
        ),
    )


def _default_mounts() -> list[Mount]:
    def kernel(destination: str, type_: str, *options: str) -> Mount:
        return Mount(destination=destination, type=type_, source=type_, options=list(options))

    safe = ("nosuid", "noexec", "nodev")
    return [
        kernel("/proc", "proc", *safe),
        kernel("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        kernel("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "gid=5"),
        kernel("/sys", "sysfs", *safe, "ro"),
        kernel("/sys/fs/cgroup", "cgroup", *safe, "ro"),
        kernel("/dev/mqueue", "mqueue", *safe),
        kernel("/dev/shm", "tmpfs", *safe, "mode=1777", "size=65536k"),
    ]


def in_child(work: Callable[[], T]) -> T:
    """Call something in a child of this process, which has its memory and nobody else's."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.close(reader)
            os.setsid()
            try:
                answer = (True, work())
            except BaseException as error:
                error.add_note(traceback.format_exc())
                answer = (False, error)
            with open(writer, "wb") as file:
                pickle.dump(answer, file)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as file:
        answer_bytes = file.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, f"the child ended with {os.waitstatus_to_exitcode(status)}"
    succeeded, result = pickle.loads(answer_bytes)
    if not succeeded:
        raise result
    return result  # type: ignore[no-any-return]
