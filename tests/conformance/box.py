"""A container to be: its bundle, and the operations of the specification on it."""

from __future__ import annotations

import copy
import json
import os
import secrets
import select
import subprocess
from pathlib import Path
from typing import Any

from conformance.runtimes import TREES, Runtime
from oci_command.program import ENVIRONMENT

_TIMEOUT = 30  # seconds
_SAFE = ["nosuid", "noexec", "nodev"]


class Box:
    """One container of one runtime.

    Attributes:
        document: What ``config.json`` will be.
        apart: A script that is run before the runtime, in its mount namespace.
    """

    def __init__(self, runtime: Runtime, rootfs: Path, folder: Path) -> None:
        self.runtime = runtime
        self.folder = folder
        self.id = f"cconf-{secrets.token_hex(4)}"
        self.document = configuration(rootfs, self.id)
        self.apart = ""
        self.scratch = folder / "scratch"
        self.scratch.mkdir(parents=True)

    # The configuration

    @property
    def process(self) -> dict[str, Any]:
        """``process``."""
        process: dict[str, Any] = self.document["process"]
        return process

    @property
    def linux(self) -> dict[str, Any]:
        """``linux``."""
        linux: dict[str, Any] = self.document["linux"]
        return linux

    def mount(self, destination: str, type_: str, *options: str, source: str = "") -> None:
        """Have one more mount; a bind mount is of the scratch folder if nothing else is named."""
        if "bind" in options or "rbind" in options:
            source = source or str(self.scratch)
        self.document["mounts"].append(
            {
                "destination": destination,
                "type": type_,
                "source": source or type_,
                "options": list(options),
            }
        )

    def namespace(self, kind: str, path: str | None = "") -> None:
        """Have a namespace of this kind: new, that of a path, or with None the host's."""
        kept = [each for each in self.linux["namespaces"] if each["type"] != kind]
        if path is not None:
            kept.append({"type": kind, "path": path} if path else {"type": kind})
        self.linux["namespaces"] = kept

    def bare(self) -> None:
        """Do without what needs namespaces of its own."""
        self.document.pop("hostname")
        mounts = self.document["mounts"]
        self.document["mounts"] = [each for each in mounts if each["type"] != "sysfs"]

    def own_root(self) -> Path:
        """Have a root of its own, to be changed; its programs are links to those of all."""
        root = self.folder / "own-root"
        subprocess.run(["cp", "-al", self.document["root"]["path"], root], check=True)
        self.document["root"] = {"path": str(root), "readonly": False}
        return root

    def hook(self, point: str, script: str, **members: Any) -> None:
        """Have one more hook, which is a script of the shell and has the state in ``$state``."""
        # It reads its input to the end, whatever it is for: crun dies of a pipe that was closed.
        hook = {"path": "/bin/sh", "args": ["sh", "-c", f"state=$(cat); {script}"], **members}
        self.document.setdefault("hooks", {}).setdefault(point, []).append(hook)

    def write(self, *args: str) -> None:
        """Write ``config.json``, with this program."""
        if args:
            self.process["args"] = list(args)
        (self.folder / "config.json").write_text(json.dumps(self.document))

    # From beginning to end

    def run(self, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        """Run a program to its end, and take what it wrote."""
        self.write(*args)
        words = ["run", f"--bundle={self.folder}", self.id]
        return self.runtime.call(*words, stdin=stdin, apart=self.apart)

    def sh(self, script: str) -> str:
        """Run a script that has to succeed, and return what it wrote."""
        done = self.run("sh", "-c", script)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout.strip()

    # The operations, one by one

    def create(self, *args: str) -> None:
        """``create``, which has to succeed."""
        self.write(*args)
        status, errors = self.try_create()
        assert status == 0, errors

    def refuse(self, *args: str) -> str:
        """``create``, which has to fail and leave nothing; the words of the error."""
        self.write(*args)
        status, errors = self.try_create()
        assert status != 0, "it was created"
        assert self.left() == []
        return errors

    def try_create(self, *options: str) -> tuple[int, str]:
        """``create``, whatever comes of it: its exit status, and what it wrote."""
        words = ["create", f"--bundle={self.folder}", *options, self.id]
        # Files, because the container has them open for as long as it lives; and the input too,
        # because crun gives it to the container's user, were it the machine's /dev/null.
        with (
            open(self.folder / "input", "w+b") as nothing,
            open(self.folder / "output", "wb") as output,
            open(self.folder / "errors", "wb") as to,
        ):
            done = subprocess.run(
                self.runtime.command(*words, apart=self.apart),
                env=ENVIRONMENT,
                stdin=nothing,
                stdout=output,
                stderr=to,
                timeout=_TIMEOUT,
                check=False,
            )
        return done.returncode, (self.folder / "errors").read_text(errors="replace")

    def operate(self, operation: str, *words: str) -> subprocess.CompletedProcess[str]:
        """An operation on this container, whatever comes of it."""
        *options, last = [*words, ""] if operation != "kill" else ["", words[0] if words else ""]
        return self.runtime.call(operation, *filter(None, options), self.id, *filter(None, [last]))

    def do(self, operation: str, *words: str) -> str:
        """An operation that has to succeed."""
        done = self.operate(operation, *words)
        assert done.returncode == 0, (operation, done.stderr)
        return done.stdout

    def state(self) -> dict[str, Any]:
        """``state``."""
        state: dict[str, Any] = json.loads(self.do("state"))
        return state

    @property
    def pid(self) -> int:
        """The process that is created or runs."""
        return int(self.state()["pid"])

    def start(self, name: str) -> None:
        """``start``, and wait until the program of this name runs: not every runtime does."""
        pid = self.pid
        self.do("start")
        while not Path(f"/proc/{pid}/cmdline").read_bytes().startswith(name.encode()):
            pass

    def end(self) -> None:
        """Kill the process, and wait for its end."""
        pidfd = os.pidfd_open(self.pid)
        try:
            self.do("kill", "KILL")
            assert select.select([pidfd], [], [], _TIMEOUT)[0], "it does not end"
        finally:
            os.close(pidfd)

    def output_at_end(self) -> str:
        """What the program wrote that was started, once it has ended."""
        try:
            pidfd = os.pidfd_open(int(self.state()["pid"]))
        except (OSError, KeyError, ValueError):
            pidfd = -1  # it has ended already
        if pidfd >= 0:
            assert select.select([pidfd], [], [], _TIMEOUT)[0], "it does not end"
            os.close(pidfd)
        return (self.folder / "output").read_text().strip()

    # Afterwards

    def groups(self) -> list[Path]:
        """The control groups with the name of this container."""
        return [path for path in (TREES / self.id, *TREES.glob(f"*/{self.id}")) if path.exists()]

    def left(self) -> list[str]:
        """What is there of it that a deleted container must not leave."""
        state = self.runtime.root / self.id
        return [str(path) for path in (*self.groups(), state) if path.exists()]

    def clear(self) -> None:
        """Remove it in whatever state it is, if it is there."""
        if self.left():
            self.runtime.call("delete", "--force", self.id)


def configuration(rootfs: Path, container_id: str) -> dict[str, Any]:
    """A configuration that every runtime takes, for root or an ordinary user."""
    kinds = ["pid", "network", "ipc", "uts", "mount"]
    linux: dict[str, Any] = {}
    terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666"]
    if os.geteuid() == 0:
        linux["cgroupsPath"] = f"/{container_id}"
    else:
        kinds.append("user")
        linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
        linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    linux["namespaces"] = [{"type": kind} for kind in kinds]
    return copy.deepcopy(
        {
            "ociVersion": "1.0.2",
            "process": {
                "terminal": False,
                "user": {"uid": 0, "gid": 0},
                "args": ["true"],
                "env": ["PATH=/bin"],
                "cwd": "/",
            },
            "root": {"path": str(rootfs), "readonly": True},
            "hostname": "box",
            "mounts": [
                _mount("/proc", "proc", []),
                _mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
                _mount("/dev/pts", "devpts", terminals),
                _mount("/dev/shm", "tmpfs", [*_SAFE, "mode=1777", "size=65536k"]),
                _mount("/sys", "sysfs", [*_SAFE, "ro"]),
            ],
            "linux": linux,
        }
    )


def _mount(destination: str, type_: str, options: list[str]) -> dict[str, Any]:
    return {"destination": destination, "type": type_, "source": type_, "options": options}
