"""The runtimes that the specification is tried on, each called as what it is: a program."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from oci_command.program import ENVIRONMENT, MODULE

TREES = Path("/sys/fs/cgroup")
_UNIFIED = TREES / "unified"
_TIMEOUT = 30  # seconds that no command should take

# A mount namespace in which something can be prepared, and which takes it away with it. Mounts of
# the host go on to appear there, and none of its own outside.
_APART = ["unshare", "--mount", "--propagation=slave", "sh", "-c"]


@dataclass
class Runtime:
    """A runtime with a state folder of its own.

    Attributes:
        name: What it is called.
        program: How it is called.
        root: Where it keeps its state.
        apart: A script that is run before it, in the same mount namespace.
    """

    name: str
    program: list[str]
    root: Path
    apart: str = ""
    _refuses_hybrid: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._refuses_hybrid = self.name == "crun" and _UNIFIED.is_mount()

    def call(
        self, *words: str, stdin: bytes = b"", apart: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Call it and take what it, or the container, writes."""
        done = subprocess.run(
            self.command(*words, apart=apart),
            env=ENVIRONMENT,
            input=stdin,
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
        output, errors = (each.decode(errors="replace") for each in (done.stdout, done.stderr))
        return subprocess.CompletedProcess(words, done.returncode, output, errors)

    def command(self, *words: str, apart: str = "") -> list[str]:
        """The whole command line, with what has to happen before it in its mount namespace."""
        scripts = [apart] if apart else []
        if self._refuses_hybrid:
            # It does not run where the v2 tree is mounted beside those of v1. The other two do, and
            # are called as everybody calls them.
            scripts.append(f"umount {_UNIFIED}")
        whole = [*self.program, f"--root={self.root}", *words]
        if not scripts:
            return whole
        return [*_APART, " && ".join([*scripts, 'exec "$@"']), "sh", *whole]

    @property
    def version(self) -> tuple[int, int]:
        """The version of the specification that it says it knows."""
        return _version(tuple(self.program), self.name)


@functools.cache
def _version(program: tuple[str, ...], name: str) -> tuple[int, int]:
    if name == "crun" and not _knows_features(program):
        text = _said([*program, "--version"])
        found = re.search(r"spec: (\d+)\.(\d+)", text)
        assert found is not None, text
        return int(found[1]), int(found[2])
    major, minor, *_ = json.loads(_said([*program, "features"]))["ociVersionMax"].split(".")
    return int(major), int(minor)


def _knows_features(program: tuple[str, ...]) -> bool:
    words = [*program, "features"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _said(words: list[str]) -> str:
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return done.stdout


@functools.cache
def release_of(name: str) -> str:
    """The first two numbers of a runtime's own version; empty where it is not installed."""
    program = program_of(name)
    found = re.search(r"version (\d+\.\d+)", _said([*program, "--version"])) if program else None
    return found[1] if found else ""


def program_of(name: str) -> list[str] | None:
    """How a runtime is called; None where it is not installed."""
    if name == "cellcrate-oci":
        return MODULE
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    return [found] if found else None


def reason_against(name: str) -> str | None:
    """Why a runtime cannot be tried here; None if it can."""
    if program_of(name) is None:
        return f"{name} is not installed (Debian's package {name})"
    if name == "crun" and os.geteuid() != 0 and _UNIFIED.is_mount():
        return "crun refuses hybrid control groups, and only root can hide the v2 tree from it"
    return None
