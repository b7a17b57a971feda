"""Finding and executing the program, its streams, and its terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable

import pytest

from cellcrate_runtime.oci.container import InitProcess, Stdio, create
from cellcrate_runtime.oci.errors import OCIError, StartError
from cellcrate_runtime.oci.spec import ConsoleSize, Process, Spec, User
from oci import terminals
from oci.identities import Identity, run_to_end


def read_all(descriptor: int) -> str:
    """What a program writes there, as text."""
    return terminals.read_all(descriptor).decode()


@pytest.mark.parametrize(
    ("name", "message", "kind"),
    [
        ("nosuch", 'exec: "nosuch": executable file not found in $PATH', "not_found"),
        ("/no/such", 'exec: "/no/such": stat /no/such: no such file or directory', "not_found"),
        ("/etc/passwd", 'exec: "/etc/passwd": permission denied', "permission"),
        ("/etc", 'exec: "/etc": is a directory', "permission"),
    ],
)
def test_a_program_that_cannot_be_started(
    identity: Identity, name: str, message: str, kind: str
) -> None:
    with pytest.raises(StartError) as caught:
        identity.run(identity.spec(name))
    assert (caught.value.message, caught.value.kind) == (message, kind)


def test_a_script_without_an_interpreter(identity: Identity) -> None:
    def write_and_run(root: str) -> None:
        write = "echo '#!/no/such/interpreter' > /data/script; chmod 755 /data/script"
        run_to_end(identity.spec("sh", "-c", write), root)
        run_to_end(identity.spec("/data/script"), root)

    with pytest.raises(StartError, match="exec /data/script: no such file or directory"):
        identity.in_shim(write_and_run)


def test_after_a_failed_start_nothing_is_left(identity: Identity) -> None:
    def fail(root: str) -> tuple[list[str], list[str]]:
        spec = identity.spec("nosuch")
        create(spec, rootfs=root, stdio=None, cgroup=None).abort()  # what is kept is kept now
        before = descriptors()
        process = create(spec, rootfs=root, stdio=None, cgroup=None)
        with pytest.raises(StartError):
            process.start()
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        with pytest.raises(OCIError, match="already"):
            process.start()
        return before, descriptors()

    before, after = identity.in_shim(fail)
    assert before == after


def descriptors() -> list[str]:
    """What is open in this process."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return sorted(found)


def test_abort_before_the_start(identity: Identity) -> None:
    def abort(root: str) -> None:
        process = create(identity.spec("true"), rootfs=root, stdio=None, cgroup=None)
        os.kill(process.pid, 0)
        process.abort()
        process.abort()
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)

    identity.in_shim(abort)


def test_exit_status_and_signal(identity: Identity) -> None:
    assert identity.sh("exit 42").status == 42

    def kill(root: str) -> int:
        process = create(identity.spec("sleep", "60"), rootfs=root, stdio=None, cgroup=None)
        process.start()
        signal.pidfd_send_signal(process.pidfd, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])

    assert identity.in_shim(kill) == -signal.SIGKILL


def test_it_dies_with_its_shim(identity: Identity) -> None:
    def start_and_leave(root: str) -> int:
        spec = identity.spec("sleep", "60")
        process = create(spec, rootfs=root, stdio=None, cgroup=None)
        process.start()
        return process.pid

    pid = identity.in_shim(start_and_leave)
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.01)


def test_output_can_be_opened_again_by_its_user(identity: Identity) -> None:
    def run(root: str) -> str:
        reader, writer = os.pipe()
        script = "echo one > /dev/stdout; echo two >> /proc/self/fd/2"
        spec = identity.spec("sh", "-c", script, user=User(uid=1000, gid=1000))
        process = create(spec, rootfs=root, stdio=Stdio(writer, writer, writer), cgroup=None)
        os.close(writer)
        process.start()
        output = read_all(reader)
        os.waitpid(process.pid, 0)
        return output

    assert identity.in_shim(run) == "one\ntwo\n"


def test_standard_descriptors_in_any_order(identity: Identity) -> None:
    def run(root: str) -> str:
        reader, writer = os.pipe()
        # The caller's own 0, 1 and 2, each to become another.
        os.dup2(writer, 0)
        os.dup2(os.open("/dev/null", os.O_RDWR), 2)
        process = create(
            identity.spec("sh", "-c", "echo out; echo err >&2"),
            rootfs=root,
            stdio=Stdio(2, 0, 0),
            cgroup=None,
        )
        process.start()
        os.waitpid(process.pid, 0)
        return os.read(reader, 100).decode()

    assert identity.in_shim(run) == "out\nerr\n"


def on_terminal(identity: Identity, script: str, use: Callable[[InitProcess], str]) -> str:
    spec = identity.spec(
        "sh", "-c", script, terminal=True, console_size=ConsoleSize(height=33, width=99)
    )

    def run(root: str) -> str:
        process = create(spec, rootfs=root, stdio=None, cgroup=None)
        process.start()
        output = use(process)
        os.waitpid(process.pid, 0)
        return output.replace("\r\n", "\n")

    return identity.in_shim(run)


def output_of(process: InitProcess) -> str:
    assert process.console is not None
    return read_all(process.console)


def test_a_terminal_of_the_containers_own(identity: Identity) -> None:
    script = "tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo all; ls /dev/pts"
    output = on_terminal(identity, script, output_of)
    assert output.split() == ["/dev/pts/0", "33", "99", "all", "0", "ptmx"]


def test_the_terminal_controls_the_session(identity: Identity) -> None:
    def interrupt(process: InitProcess) -> str:
        assert process.console is not None
        seen = b""
        while b"ready" not in seen:
            seen += os.read(process.console, 100)
        os.write(process.console, b"\x03")
        return output_of(process)

    script = (
        "trap 'echo interrupted; exit' INT; echo ready; while :; do sleep 1; done; echo > /dev/tty"
    )
    assert "interrupted" in on_terminal(identity, script, interrupt)


def test_the_console_is_the_terminal(identity: Identity) -> None:
    script = "echo there > /dev/console; echo tty > /dev/tty; stat -c %u /dev/pts/0"
    assert on_terminal(identity, script, output_of).split() == ["there", "tty", "0"]


def test_without_streams_there_is_nothing_to_read(identity: Identity) -> None:
    def run(root: str) -> int:
        process = create(
            identity.spec("sh", "-c", "cat; echo x"), rootfs=root, stdio=None, cgroup=None
        )
        process.start()
        return os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])

    assert identity.in_shim(run) == 0


def test_specs_are_not_changed(identity: Identity) -> None:
    spec = identity.spec("true")
    before = repr(spec)
    identity.in_shim(lambda root: _run_twice(spec, root))
    assert repr(spec) == before


def _run_twice(spec: Spec, root: str) -> None:
    before = repr(spec)
    for _ in range(2):
        assert run_to_end(spec, root).status == 0
    assert isinstance(spec.process, Process)
    assert repr(spec) == before
