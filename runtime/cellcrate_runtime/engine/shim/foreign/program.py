"""Call an OCI runtime program, and understand its complaints."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import msgspec

from cellcrate_runtime.engine.shim.foreign.null_device import instead_of_the_hosts
from cellcrate_runtime.linux import mounts, namespaces, processes
from cellcrate_runtime.linux.cgroups import hierarchy
from cellcrate_runtime.oci.consoles import Stdio
from cellcrate_runtime.oci.errors import OCIError, StartError

__all__ = ["Program", "children_kept"]

_PATIENCE = 60.0  # seconds; a program that takes longer hangs
_BESIDE_V1 = "/sys/fs/cgroup/unified"
# The manager of services speaks to the engine with these; a program would hand them on.
_NOT_FOR_PROGRAMS = ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
# What runc, crun and youki say of the program that they are to execute.
_ABOUT_EXECUTION = re.compile(r"\bexec(utable)?\b", re.IGNORECASE)
_NOT_FOUND = re.compile("not found|no such file or directory", re.IGNORECASE)
_DENIED = re.compile("permission denied|is a directory|exec format error", re.IGNORECASE)


class _Line(msgspec.Struct):
    level: str = ""
    msg: str = ""


class Program:
    """One runtime program, as it serves one container.

    Args:
        command: The program and the arguments that always come first.
        state: The folder in which it remembers the container.
        log: The file in which it writes what goes wrong.
    """

    def __init__(self, command: list[str], state: str, log: str) -> None:
        self.name = os.path.basename(command[0])
        self._command = [*command, "--root", state, "--log", log, "--log-format", "json"]
        self._log = log

    def call(
        self,
        *arguments: str,
        stdio: Stdio | None = None,
        unified: str | None = None,
        under: Sequence[str] = (),
    ) -> None:
        """Execute it and wait until it ends, which its container does not.

        Args:
            stdio: What the container's program gets as its standard streams; else /dev/null.
            unified: The container's group in a cgroup v2 tree beside v1, which a process that is
                made inherits, since the program does not see that tree.
            under: A program that executes this one, with its arguments, and watches it.

        Raises:
            StartError: The program in the container cannot be executed.
            OCIError: Something else failed, in the runtime's words.
        """
        begin = self._log_size()
        with children_kept():
            status = self._run([*under, *self._command, *arguments], stdio, unified)
        if status:
            raise self._failure(arguments[0], status, begin)

    def _run(self, command: list[str], stdio: Stdio | None, unified: str | None) -> int:
        with open(os.devnull, "r+b", buffering=0) as file:
            nothing = file.fileno()
            theirs = (stdio.stdin, stdio.stdout, stdio.stderr) if stdio else (nothing,) * 3
            streams = [instead_of_the_hosts(stream) for stream in theirs]
            try:
                child = subprocess.Popen(
                    command,
                    stdin=streams[0],
                    stdout=streams[1],
                    stderr=streams[2],
                    env={k: v for k, v in os.environ.items() if k not in _NOT_FOR_PROGRAMS},
                    preexec_fn=partial(_prepare, unified),
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise OCIError(f"the runtime {self.name} cannot be executed: {error}") from error
        try:
            return child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise OCIError(f"{self.name} did not end in time: {command[-1]}") from None

    def _log_size(self) -> int:
        try:
            return os.stat(self._log).st_size
        except FileNotFoundError:
            return 0

    def _failure(self, doing: str, status: int, begin: int) -> OCIError:
        said = self._last_complaint(begin)
        if not said:
            return OCIError(f"{self.name} {doing} failed with status {status}, and did not say why")
        message = f"{self.name}: {said}"
        if _ABOUT_EXECUTION.search(said):
            if _DENIED.search(said):
                return StartError(message, "permission")
            if _NOT_FOUND.search(said):
                return StartError(message, "not_found")
        return OCIError(message)

    def _last_complaint(self, begin: int) -> str:
        """The last error of the log, or of a program that does not write JSON the last line."""
        found = ""
        try:
            with open(self._log, "rb") as file:
                file.seek(begin)
                lines = file.read().splitlines()
        except FileNotFoundError:
            return ""
        for text in lines:
            try:
                line = msgspec.json.decode(text, type=_Line)
            except (msgspec.DecodeError, msgspec.ValidationError):
                line = _Line("error", text.decode(errors="replace").strip())
            if line.level in ("error", "fatal", "panic") and line.msg:
                found = line.msg
        return _in_kernel_words(found)


def _prepare(unified: str | None) -> None:
    """Done in the new process, before the program is executed.

    Programs that know one version of cgroups at a time, as crun before 1.9 does, take the presence
    of the v2 tree for cgroup v2, or fail: where there are both, they are shown v1.
    """
    processes.die_with_parent()  # with nobody there to find it, it shall make no container
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if unified is not None:
        with open(f"{unified}/cgroup.procs", "w", encoding="ascii") as file:
            file.write("0")
    if hierarchy().kind == "hybrid" and os.path.ismount(_BESIDE_V1):
        namespaces.unshare(namespaces.FLAGS["mount"])
        mounts.set_propagation("/", mounts.MS_SLAVE | mounts.MS_REC)
        mounts.unmount(_BESIDE_V1, mounts.MNT_DETACH)


@contextmanager
def children_kept() -> Iterator[None]:
    """Reap nobody meanwhile who only turns out later to be waited for."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _in_kernel_words(message: str) -> str:
    """The kernel's reasons in lower case, which is how ``docker run`` looks for them."""
    for words in ("No such file or directory", "Permission denied", "Exec format error"):
        message = message.replace(words, words[:1].lower() + words[1:])
    return message
