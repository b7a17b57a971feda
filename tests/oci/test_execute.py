"""Further processes in a running container, and the small first process of ``--init``."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from cellcrate_runtime.linux import capabilities
from cellcrate_runtime.linux.seccomp import default_profile
from cellcrate_runtime.oci.container import InitProcess, Stdio, create, execute
from cellcrate_runtime.oci.errors import OCIError, StartError
from cellcrate_runtime.oci.spec import ConsoleSize, Process, RLimit, Spec, User
from cellcrate_runtime.oci.state import State
from oci.identities import DEFAULT_CAPABILITIES, Identity, Outcome


def process_of(spec: Spec) -> Process:
    assert spec.process is not None
    return spec.process


def in_running(
    identity: Identity, use: Callable[[InitProcess, Spec], object], spec: Spec | None = None
) -> object:
    """Do something while a container sleeps."""
    config = spec or identity.spec("sleep", "60")

    def work(root: str) -> object:
        first = create(config, rootfs=root, stdio=None, cgroup=None)
        first.start()
        try:
            return use(first, config)
        finally:
            signal.pidfd_send_signal(first.pidfd, signal.SIGKILL)
            os.waitpid(first.pid, 0)

    return identity.in_shim(work)


def execute_to_end(
    first: InitProcess, spec: Spec, process: Process, state: State | None = None
) -> Outcome:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        stdio = Stdio(os.open("/dev/null", os.O_RDONLY), out.fileno(), err.fileno())
        further = execute(first.pid, process, spec=spec, stdio=stdio, cgroup=None, state=state)
        os.close(stdio.stdin)
        further.start()
        _, status = os.waitpid(further.pid, 0)
        out.seek(0)
        err.seek(0)
        return Outcome(os.waitstatus_to_exitcode(status), out.read().decode(), err.read().decode())


def execute_script(identity: Identity, script: str, **settings: object) -> Outcome:
    def use(first: InitProcess, spec: Spec) -> Outcome:
        process = process_of(identity.spec("sh", "-c", script, **settings))
        return execute_to_end(first, spec, process)

    outcome = in_running(identity, use)
    assert isinstance(outcome, Outcome)
    return outcome


@pytest.mark.parametrize("kind", ["mnt", "pid", "net", "uts", "ipc", "cgroup", "user"])
def test_it_is_in_every_namespace(identity: Identity, kind: str) -> None:
    outcome = execute_script(identity, f"readlink /proc/self/ns/{kind} /proc/1/ns/{kind}")
    one, other = outcome.stdout.split()
    assert one == other


def test_it_sees_the_others(identity: Identity) -> None:
    outcome = execute_script(identity, "ps -A -o pid=,comm=; ls /")
    assert outcome.stdout.split()[:4] == ["1", "sleep", "2", "sh"]
    assert "var" not in outcome.stdout


def test_it_has_the_same_walls(identity: Identity) -> None:
    spec = identity.spec("sleep", "60")
    assert spec.linux is not None
    spec.linux.seccomp = default_profile(frozenset(DEFAULT_CAPABILITIES))

    def use(first: InitProcess, spec: Spec) -> Outcome:
        process = process_of(identity.spec("cat", "/proc/self/status"))
        process.rlimits = [RLimit(type="RLIMIT_NOFILE", soft=20, hard=20)]
        return execute_to_end(first, spec, process)

    outcome = in_running(identity, use, spec)
    assert isinstance(outcome, Outcome)
    status = dict(line.split(":", 1) for line in outcome.stdout.splitlines())
    mask = capabilities.mask(DEFAULT_CAPABILITIES)
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == mask
    assert status["Seccomp"].strip() == "2"
    assert [int(status[f"Sig{name}"], 16) for name in ("Blk", "Ign", "Cgt")] == [0, 0, 0]


def test_user_environment_and_folder(identity: Identity) -> None:
    user = User(uid=1000, gid=50, additional_gids=[50, 7])
    outcome = execute_script(
        identity, "id -u; id -G; pwd; echo $HOME; ls /proc/self/fd", user=user, cwd="/data"
    )
    assert outcome.stdout.split() == ["1000", "50", "7", "/data", "/home/alice", *"0123"]


def test_a_terminal(identity: Identity) -> None:
    def use(first: InitProcess, spec: Spec) -> str:
        process = process_of(identity.spec("sh", "-c", "tty; stty size; test -t 1 && echo yes"))
        process.terminal = True
        process.console_size = ConsoleSize(height=10, width=20)
        further = execute(first.pid, process, spec=spec, stdio=None, cgroup=None)
        further.start()
        assert further.console is not None
        output = b""
        with suppress(OSError):
            while part := os.read(further.console, 1000):
                output += part
        os.waitpid(further.pid, 0)
        return output.decode()

    output = in_running(identity, use)
    assert str(output).split() == ["/dev/pts/0", "10", "20", "yes"]


def test_a_missing_program_and_folder(identity: Identity) -> None:
    def use(first: InitProcess, spec: Spec) -> None:
        with pytest.raises(StartError, match='"nosuch": executable file not found'):
            execute_to_end(first, spec, process_of(identity.spec("nosuch")))
        with pytest.raises(OCIError, match="working directory: /nosuch: no such file"):
            execute_to_end(first, spec, process_of(identity.spec("true", cwd="/nosuch")))
        with open(f"/proc/self/task/{os.getpid()}/children") as children:
            assert children.read().split() == [str(first.pid)]

    in_running(identity, use)


def test_a_container_that_is_gone(identity: Identity) -> None:
    def use(root: str) -> None:
        spec = identity.spec("true")
        first = create(spec, rootfs=root, stdio=None, cgroup=None)
        first.start()
        os.waitpid(first.pid, 0)
        with pytest.raises(OCIError, match="the container is not running") as caught:
            execute(first.pid, process_of(spec), spec=spec, stdio=None, cgroup=None)
        assert caught.value.kind == "not_found"

    identity.in_shim(use)


def test_it_cannot_be_looked_into_before_its_program(identity: Identity) -> None:
    def use(first: InitProcess, spec: Spec) -> Outcome:
        waiting = execute(
            first.pid, process_of(identity.spec("true")), spec=spec, stdio=None, cgroup=None
        )
        look = "readlink /proc/2/fd/0 /proc/2/exe; ls /proc/2/root/"
        try:
            return execute_to_end(first, spec, process_of(identity.spec("sh", "-c", look)))
        finally:
            waiting.abort()

    outcome = in_running(identity, use)
    assert isinstance(outcome, Outcome)
    # CAP_SYS_PTRACE is not among the capabilities; with it, user namespaces still protect.
    assert outcome.stdout == ""
    assert "Permission denied" in outcome.stderr


# --init


def run_init(identity: Identity, script: str, **settings: object) -> Outcome:
    return identity.run(identity.spec("sh", "-c", script, **settings), init=True)


def test_init_is_pid_1_and_hides_the_host(identity: Identity) -> None:
    outcome = run_init(identity, "ps -A -o pid=,comm=; cat /proc/1/cmdline; cat /proc/1/environ")
    listing, _, command_line = outcome.stdout.partition("ps\n")
    assert listing.split()[:4] == ["1", "init", "2", "sh"]
    assert command_line.startswith("init -- sh -c ps")
    assert "Permission denied" in outcome.stderr  # /proc/1/environ


def test_init_passes_the_exit_status_on(identity: Identity) -> None:
    assert run_init(identity, "exit 7").status == 7
    assert run_init(identity, "kill -9 $$").status == 128 + 9


def test_init_reaps_orphans(identity: Identity) -> None:
    script = "(sleep 0.05 & ) ; (true &); sleep 0.2; ps -A -o stat=,comm="
    outcome = run_init(identity, script)
    assert "Z" not in outcome.stdout
    assert "sleep" not in outcome.stdout


def test_init_forwards_signals(identity: Identity) -> None:
    def use(root: str) -> int:
        reader, writer = os.pipe()
        spec = identity.spec(
            "sh", "-c", "trap 'exit 33' TERM; echo ready; while :; do sleep 0.05; done"
        )
        first = create(spec, rootfs=root, stdio=Stdio(0, writer, writer), cgroup=None, init=True)
        first.start()
        assert os.read(reader, 10) == b"ready\n"
        signal.pidfd_send_signal(first.pidfd, signal.SIGTERM)
        return os.waitstatus_to_exitcode(os.waitpid(first.pid, 0)[1])

    assert identity.in_shim(use) == 33


def test_init_reports_a_missing_program(identity: Identity) -> None:
    with pytest.raises(StartError, match="executable file not found"):
        identity.run(identity.spec("nosuch"), init=True)


def test_everything_dies_with_init(identity: Identity) -> None:
    def use(root: str) -> str:
        spec = identity.spec("sh", "-c", "sleep 77.7 & sleep 77.7")
        first = create(spec, rootfs=root, stdio=None, cgroup=None, init=True)
        first.start()
        time.sleep(0.05)
        signal.pidfd_send_signal(first.pidfd, signal.SIGKILL)
        os.waitpid(first.pid, 0)
        return f"/proc/{first.pid}"

    assert not os.path.exists(identity.in_shim(use))


def test_init_with_a_terminal_gives_it_to_the_program(identity: Identity) -> None:
    def use(root: str) -> str:
        script = "trap 'echo interrupted; exit' INT; echo ready; while :; do sleep 0.05; done"
        spec = identity.spec("sh", "-c", script, terminal=True)
        first = create(spec, rootfs=root, stdio=None, cgroup=None, init=True)
        first.start()
        assert first.console is not None
        seen = os.read(first.console, 100)
        os.write(first.console, b"\x03")
        with suppress(OSError):
            while part := os.read(first.console, 100):
                seen += part
        os.waitpid(first.pid, 0)
        return seen.decode()

    assert "interrupted" in identity.in_shim(use)
