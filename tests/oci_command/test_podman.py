"""Podman and conmon, with this runtime instead of their own."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellcrate_runtime.linux.cgroups import Cgroup
from oci_command.program import MODULE, RUNTIME

pytestmark = [pytest.mark.root, pytest.mark.peer]

# Without CAP_SYS_RESOURCE, limits may not be raised to what podman asks for.
_RUN = ["--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"]
_IMAGE = "localhost/programs"


class Podman:
    """Podman with all of its state in one folder."""

    def __init__(self, folder: Path) -> None:
        self.runtime = folder / "cellcrate-oci"
        self.runtime.write_text(
            f"#!/bin/sh\nexport PYTHONPATH={RUNTIME}\n"
            f'exec {" ".join(MODULE)} --root={folder}/oci "$@"\n'
        )
        self.runtime.chmod(0o755)
        self.command = [
            "podman",
            f"--root={folder / 'root'}",
            f"--runroot={folder / 'run'}",
            f"--tmpdir={folder / 'tmp'}",
            f"--runtime={self.runtime}",
            "--cgroup-manager=cgroupfs",
        ]
        self.folder = folder

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Call it, and return what it wrote and left with."""
        return subprocess.run(
            [*self.command, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=self.folder,
        )

    def do(self, *words: str) -> str:
        """Call it for something that has to work, and return what it wrote."""
        done = self.call(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *words: str) -> str:
        """Run a container that ends, with options and then a program."""
        options = [word for word in words if word.startswith("--")]
        program = [word for word in words if not word.startswith("--")]
        return self.do("run", "--rm", *_RUN, *options, _IMAGE, *program)


@pytest.fixture(scope="module")
def podman(rootfs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Podman, with an image of this machine's programs."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed (Debian's package podman)")
    podman = Podman(tmp_path_factory.mktemp("podman"))
    archive = podman.folder / "image.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(rootfs, arcname=".")
    podman.do("import", str(archive), _IMAGE)
    try:
        yield podman
    finally:
        podman.call("rm", "--all", "--force", "--time=0")
        podman.call("unmount", "--all")
        podman.call("rmi", "--all", "--force")


@pytest.fixture
def running(podman: Podman) -> Iterator[str]:
    """A container that runs until it is removed."""
    script = "echo said; trap 'exit 9' TERM; while :; do sleep 0.02; done"
    podman.do("run", "-d", "--name=c1", "--memory=64m", *_RUN, _IMAGE, "sh", "-c", script)
    yield "c1"
    podman.do("rm", "--force", "--time=0", "c1")


def test_run_gives_output_and_status(podman: Podman) -> None:
    done = podman.call("run", "--rm", *_RUN, _IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_the_runtime_is_this_one(podman: Podman) -> None:
    info = json.loads(podman.do("info", "--format=json"))["host"]["ociRuntime"]
    assert info["path"] == str(podman.runtime)
    assert info["version"].startswith("cellcrate-oci version")


def test_a_missing_program_is_127_and_a_folder_126(podman: Podman) -> None:
    missing = podman.call("run", "--rm", *_RUN, _IMAGE, "nosuch")
    assert missing.returncode == 127
    assert "executable file not found in $PATH" in missing.stderr
    assert podman.call("run", "--rm", *_RUN, _IMAGE, "/etc").returncode == 126


def test_run_with_a_terminal(podman: Podman) -> None:
    pid, master = pty.fork()
    if not pid:
        command = [*podman.command, "run", "--rm", "-it", *_RUN, _IMAGE]
        os.execvp(command[0], [*command, "sh", "-c", "tty; exit 5"])
    said = b""
    try:
        while more := os.read(master, 1000):
            said += more
    except OSError:  # EIO: the other side is closed
        pass
    os.close(master)
    assert b"/dev/pts/0" in said
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5


def test_exec_logs_top_and_stats(podman: Podman, running: str) -> None:
    done = podman.call("exec", running, "sh", "-c", "echo inside; exit 6")
    assert (done.returncode, done.stdout) == (6, "inside\n")
    assert podman.call("exec", running, "nosuch").returncode == 127
    assert podman.do("logs", running) == "said\n"
    assert "trap" in podman.do("top", running)
    (stats,) = json.loads(podman.do("stats", "--no-stream", "--format=json", running))
    assert stats["mem_usage"].endswith("/ 67.11MB")


def test_pause_and_unpause(podman: Podman, running: str) -> None:
    podman.do("pause", running)
    assert podman.do("inspect", "--format={{.State.Status}}", running) == "paused\n"
    podman.do("unpause", running)
    assert podman.do("inspect", "--format={{.State.Status}}", running) == "running\n"


def test_update_changes_a_limit(podman: Podman, running: str) -> None:
    if podman.call("update", "--help").returncode:
        pytest.skip("this podman has no update")
    podman.do("update", "--memory=128m", running)
    group = podman.do("inspect", "--format={{.State.CgroupPath}}", running).strip()
    memory = Cgroup.open(group).stats().memory
    assert memory is not None
    assert memory.limit == 128 << 20


def test_stop_start_and_restart(podman: Podman, running: str) -> None:
    podman.do("stop", "--time=20", running)
    assert podman.do("inspect", "--format={{.State.ExitCode}}", running) == "9\n"
    podman.do("start", running)
    assert podman.do("inspect", "--format={{.State.Status}}", running) == "running\n"


def test_a_read_only_root(podman: Podman) -> None:
    script = "touch /file || touch /tmp/file && echo ended"
    assert podman.run("--read-only", "sh", "-c", script) == "ended\n"


def test_capabilities(podman: Podman) -> None:
    words = ["grep", "CapEff", "/proc/self/status"]
    assert int(podman.run("--cap-drop=all", *words).split()[1], 16) == 0
    assert int(podman.run("--cap-drop=all", "--cap-add=chown", *words).split()[1], 16) == 1


def test_limits_kernel_settings_and_devices(podman: Podman) -> None:
    port = "net.ipv4.ip_unprivileged_port_start"
    options = ["--ulimit=core=0:0", f"--sysctl={port}=81", "--device=/dev/fuse:/dev/loop-control"]
    script = f"""
        ulimit -c; ulimit -n
        cat /proc/sys/{port.replace(".", "/")}
        true < /dev/loop-control && echo opened
    """
    assert podman.run(*options, "sh", "-c", script).split() == ["0", "1024", "81", "opened"]


def test_a_first_process_that_reaps(podman: Podman) -> None:
    path = shutil.which("docker-init") or shutil.which("tini")
    if path is None:
        pytest.skip("there is no small init on this machine")
    said = podman.run("--init", f"--init-path={path}", "cat", "/proc/1/cmdline")
    assert said.split("\0")[0].endswith("init")


def test_a_user_and_ids_of_its_own(podman: Podman) -> None:
    assert podman.run("--user=1000:50", "id").startswith("uid=1000(alice) gid=50(staff)")
    mapping = ["--uidmap=0:100000:65536", "--gidmap=0:100000:65536"]
    said = podman.run(*mapping, "cat", "/proc/self/uid_map")
    assert said.split() == ["0", "100000", "65536"]


def test_namespaces_of_another_container(podman: Podman) -> None:
    podman.do("run", "-d", "--name=c2", "--ipc=shareable", *_RUN, _IMAGE, "sleep", "1000")
    shared = [f"--{kind}=container:c2" for kind in ("pid", "ipc", "network")]
    limits = [option for option in _RUN if option.startswith("--ulimit")]
    words = ["cat", "/proc/1/cmdline"]
    assert podman.do("run", "--rm", *shared, *limits, _IMAGE, *words) == "sleep\x001000\x00"
    podman.do("rm", "--force", "--time=0", "c2")
