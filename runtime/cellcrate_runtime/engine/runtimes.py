"""Which OCI runtimes can make containers here: the embedded one, and programs of this machine.

Programs are found on the PATH, or configured in ``daemon.json`` of the data folder, as Docker has
it there: ``{"runtimes": {"name": {"path": "...", "runtimeArgs": [...]}}}``. Source: Docker's
dockerd reference, "Configure runtimes using daemon.json"; OCI runtime-spec 1.2, features.md.
"""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from cellcrate_runtime.engine.api.types import HostConfig
from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.linux.cgroups import hierarchy
from cellcrate_runtime.version import own_version

__all__ = ["EMBEDDED", "Runtimes"]

EMBEDDED = "cellcrate"
"""The name of the runtime inside this engine, which is the default one."""

CONFIGURATION = "daemon.json"

_FEATURES = "org.opencontainers.runtime-spec.features"
_VERSION = "org.cellcrate.runtime.version"
# Programs that take the command line of an OCI runtime.
_KNOWN = ("cellcrate-oci", "crun", "kata-runtime", "runc", "runsc", "sysbox-runc", "youki")
_OWN_PROGRAMS = os.path.dirname(sys.executable)
_PATIENCE = 5.0  # seconds for a program to say what it is


class _Configured(msgspec.Struct, rename="camel"):
    path: str = ""
    runtime_args: list[str] = []


class _Configuration(msgspec.Struct):
    runtimes: dict[str, _Configured] = {}


class Runtimes:
    """The runtimes of one engine.

    Args:
        data: The engine's data folder.
    """

    def __init__(self, data: Path) -> None:
        self._file = data / CONFIGURATION

    def commands(self) -> dict[str, list[str]]:
        """Return the program and its first arguments by each name; the embedded one has none.

        Raises:
            BadRequestError: The configuration cannot be understood.
        """
        found: dict[str, list[str]] = {EMBEDDED: []}
        for name in _KNOWN:
            path = shutil.which(name, path=_search_path())
            if path is not None:
                found[name] = [path]
        for name, one in self._configuration().runtimes.items():
            if name != EMBEDDED:
                path = shutil.which(one.path or name, path=_search_path())
                found[name] = [path or one.path or name, *one.runtime_args]
        return found

    def command(self, name: str) -> list[str]:
        """Return how the runtime of a name is called; the empty list for the embedded one.

        Raises:
            BadRequestError: There is none of this name, or it cannot be used.
        """
        if name == EMBEDDED:
            return []
        found = self.commands()
        if name not in found:
            raise BadRequestError(
                f"unknown or invalid runtime name: {name}. There are: {', '.join(sorted(found))}. "
                f"Install the program, or name it in {self._file}"
            )
        command = found[name]
        if command and not os.access(command[0], os.X_OK):
            raise BadRequestError(
                f"the runtime {name} cannot be used: {command[0]}, which {self._file} names, is no "
                "program that can be executed"
            )
        return command

    def check(self, name: str, host: HostConfig) -> None:
        """See that a container's runtime is there and can do what is asked of it.

        Raises:
            BadRequestError: It is not, or cannot.
        """
        if not self.command(name):
            return
        if host.init:
            raise BadRequestError(
                f"--init does not go with the runtime {name}: the small first process is the "
                f"embedded runtime's own. Leave out --init, or use --runtime {EMBEDDED}"
            )
        found = hierarchy()
        if not found.writable:
            raise BadRequestError(
                f"the runtime {name} needs a control group, by which its container is found and "
                f"ended, and none can be made: {found.reason} Use --runtime {EMBEDDED}, which does "
                "without, or start the engine as root or, with cgroup v2, where systemd delegates "
                "a group: systemd-run --user --scope -p Delegate=yes cellcrate engine run"
            )

    async def described(self) -> dict[str, dict[str, Any]]:
        """Return the member ``Runtimes`` of ``GET /info``: how each is called, and what it can do.

        The programs are asked, once for each version of them that is installed.
        """
        try:
            commands = self.commands()
        except BadRequestError:
            commands = {EMBEDDED: []}  # whoever asks for a runtime will hear why
        answers = await asyncio.gather(
            *(asyncio.to_thread(_status, command) for command in commands.values())
        )
        return {
            name: _entry(command, status)
            for (name, command), status in zip(commands.items(), answers, strict=True)
        }

    def _configuration(self) -> _Configuration:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_Configuration)
        except FileNotFoundError:
            return _Configuration()
        except (OSError, msgspec.DecodeError) as error:
            raise BadRequestError(f"{self._file} cannot be understood: {error}") from error


def _search_path() -> str:
    """The PATH, administrators' folders that a user's PATH often lacks, and that of cellcrate-oci.

    It lies beside Cellcrate's Python, in a virtual environment that need not be active.
    """
    given = os.environ.get("PATH", os.defpath)
    return os.pathsep.join([given, "/usr/local/sbin", "/usr/sbin", "/sbin", _OWN_PROGRAMS])


def _entry(command: list[str], status: dict[str, str]) -> dict[str, Any]:
    entry: dict[str, Any] = {"path": command[0] if command else EMBEDDED}
    if command[1:]:
        entry["runtimeArgs"] = command[1:]
    return {**entry, "status": status} if status else entry


def _status(command: list[str]) -> dict[str, str]:
    if not command:
        return _embedded()
    try:
        file = os.stat(command[0])
    except OSError:
        return {}
    return _asked(tuple(command), file.st_ino, file.st_mtime_ns)


@functools.cache
def _embedded() -> dict[str, str]:
    from cellcrate_runtime.oci import features  # when somebody asks, which few do

    document = msgspec.json.encode(features.document()).decode()
    return {_VERSION: own_version(), _FEATURES: document}


@functools.lru_cache(maxsize=32)
def _asked(command: tuple[str, ...], _inode: int, _changed: int) -> dict[str, str]:
    """What a program says of itself; the same until the program is another one."""
    status = {}
    if version := _version(_said(command, "--version")):
        status[_VERSION] = version
    features = _said(command, "features")
    try:
        if isinstance(document := msgspec.json.decode(features), dict):
            status[_FEATURES] = msgspec.json.encode(document).decode()
    except msgspec.DecodeError:
        pass  # an older program, which has no such command
    return status


def _version(said: str) -> str:
    """The number in the first line: ``runc version 1.1.5``."""
    words = said.partition("\n")[0].split()
    return next((word for word in words if word[:1].isdecimal()), " ".join(words[1:]))


def _said(command: tuple[str, ...], question: str) -> str:
    try:
        done = subprocess.run(
            [*command, question],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""
