"""Podman, with all of its state in one folder and this runtime instead of its own."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import tarfile
import time
from pathlib import Path

import psutil

from oci.terminals import read_all
from oci_command.program import MODULE, RUNTIME

IMAGE = "localhost/programs"

# Whoever lacks CAP_SYS_RESOURCE may not raise limits to what podman asks for, be it for the
# infra containers of pods, which take no options. The two lists say which runtimes write errors as
# JSON, and can do without control groups: podman knows that of its own runtimes alone.
_CONFIGURATION = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
runtime_supports_json = ["cellcrate-oci"]
runtime_supports_nocgroup = ["cellcrate-oci"]
"""
_STORAGE = """
[storage]
driver = "overlay"
graphroot = "{folder}/root"
runroot = "{folder}/run"
[storage.options]
root-auto-userns-user = "{owner_of_ids}"
"""
_TIMEOUT = 60  # seconds


class Podman:
    """Podman for the user of this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._others_groups = _groups_of_pods()
        self.runtime = folder / "cellcrate-oci"
        self.runtime.write_text(
            f"#!/bin/sh\nexport PYTHONPATH={RUNTIME}\n"
            f'exec {" ".join(MODULE)} --root={folder}/oci "$@"\n'
        )
        self.runtime.chmod(0o755)
        (folder / "runtime-dir").mkdir(mode=0o700)
        configuration, storage = folder / "containers.conf", folder / "storage.conf"
        configuration.write_text(_CONFIGURATION)
        storage.write_text(
            _STORAGE.format(folder=folder, owner_of_ids=next(iter(owners_of_ids()), ""))
        )
        self.environment = {
            **os.environ,
            "XDG_RUNTIME_DIR": str(folder / "runtime-dir"),
            "CONTAINERS_CONF": str(configuration),
            "CONTAINERS_STORAGE_CONF": str(storage),
        }
        self.command = [
            "podman",
            f"--root={folder / 'root'}",
            f"--runroot={folder / 'run'}",
            f"--tmpdir={folder / 'tmp'}",
            f"--runtime={self.runtime}",
            "--cgroup-manager=cgroupfs",
            "--log-level=error",
        ]

    def call(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Call it, and return what it wrote and left with."""
        return subprocess.run(
            [*self.command, *words],
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
            cwd=self.folder,
        )

    def do(self, *words: str) -> str:
        """Call it for something that has to work, and return what it wrote."""
        done = self.call(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a container that ends, with options and then a program, whatever comes of it."""
        options = [word for word in words if word.startswith("--")]
        program = words[len(options) :]
        if not any(option.startswith(("--network", "--pod=")) for option in options):
            options.append("--network=none")
        return self.call("run", "--rm", *options, IMAGE, *program)

    def run(self, *words: str) -> str:
        """The same for a container that has to succeed; what it wrote."""
        done = self.try_run(*words)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout

    def in_terminal(self, *words: str, types: bytes = b"") -> tuple[int, bytes]:
        """Call it in a terminal of its own: its exit status, and what was to be seen there."""
        pid, master = pty.fork()
        if not pid:
            os.execvpe(self.command[0], [*self.command, *words], self.environment)
        os.write(master, types)
        seen = read_all(master)
        os.close(master)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen

    def inspect(self, container: str, member: str) -> str:
        """One member of what is known of a container."""
        return self.do("inspect", f"--format={{{{{member}}}}}", container).strip()

    def wait_for_log(self, container: str, said: str) -> None:
        """Wait until a container has said this, and nothing else."""
        while self.do("logs", container) != said:
            time.sleep(0.02)

    def load_image(self, rootfs: Path) -> None:
        """Have an image of a folder."""
        archive = self.folder / "image.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(rootfs, arcname=".")
        self.do("import", str(archive), IMAGE)
        archive.unlink()

    def end(self) -> None:
        """Remove everything that was made, and leave no process or mount."""
        self.call("pod", "rm", "--all", "--force", "--time=0")
        self.call("rm", "--all", "--force", "--time=0", "--volumes")
        self.call("unmount", "--all")
        self.call("volume", "rm", "--all", "--force")
        self.call("rmi", "--all", "--force")
        # The store's own mount, which podman leaves for the next command.
        subprocess.run(["umount", f"{self.folder}/root/overlay"], capture_output=True, check=False)
        # Where both versions are mounted, podman forgets those in the tree of cgroup v2.
        for group in _groups_of_pods() - self._others_groups:
            with contextlib.suppress(OSError):  # somebody else's that has come meanwhile
                group.rmdir()
        if os.geteuid() != 0:
            # Layers belong to subordinate ids; and podman keeps its user namespace in a process.
            self.call("unshare", "rm", "-rf", str(self.folder / "root"), str(self.folder / "run"))
            self.call("system", "migrate")

    def processes(self) -> list[str]:
        """The command lines of every process that has this folder in its own."""
        found = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
        return [" ".join(words) for words in found if str(self.folder) in " ".join(words)]

    def wait_for_processes(self) -> None:
        """Wait until those that clear up after a container have done so."""
        deadline = time.monotonic() + _TIMEOUT
        while left := self.processes():
            assert time.monotonic() < deadline, left
            time.sleep(0.05)


def _groups_of_pods() -> set[Path]:
    return set(Path("/sys/fs/cgroup").glob("*/libpod_parent/*/"))


def owners_of_ids() -> list[str]:
    """The users that have subordinate ids."""
    try:
        lines = Path("/etc/subuid").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [line.partition(":")[0] for line in lines]
