"""The runtime as a program: calling it, and bundles for it."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

MODULE = [sys.executable, "-m", "cellcrate_runtime.oci.command"]
RUNTIME = Path(__file__).parents[2] / "runtime"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(RUNTIME)}
_TIMEOUT = 30  # seconds that no command should take


class Program:
    """``cellcrate-oci`` with a state folder of its own."""

    def __init__(self, root: Path, *options: str) -> None:
        self.root = root
        self.command = [*MODULE, f"--root={root}", *options]

    def call(
        self, *words: str, stdin: int | IO[Any] = subprocess.DEVNULL
    ) -> subprocess.CompletedProcess[str]:
        """Call it, and return what it wrote and left with."""
        # Files and not pipes: a container that goes on has them open.
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            done = subprocess.run(
                [*self.command, *words],
                env=ENVIRONMENT,
                stdin=stdin,
                stdout=output,
                stderr=errors,
                timeout=_TIMEOUT,
                check=False,
            )
            output.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(words, done.returncode, output.read(), errors.read())

    def do(self, *words: str, stdin: int | IO[Any] = subprocess.DEVNULL) -> str:
        """Call it for something that has to work, and return what it wrote."""
        done = self.call(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refusal(self, *words: str, status: int = 1) -> str:
        """Call it for something that has to be refused, and return the words."""
        done = self.call(*words)
        assert done.returncode == status, (done.stdout, done.stderr)
        return done.stderr

    def status(self, container: str) -> str:
        """The state of a container."""
        return str(json.loads(self.do("state", container))["status"])

    def end_all(self) -> None:
        """Remove every container."""
        for container in self.do("list", "--quiet").split():
            self.do("delete", "--force", container)


class Bundle:
    """A folder with a ``config.json`` whose root all of them share."""

    def __init__(self, folder: Path, document: dict[str, Any]) -> None:
        self.folder = folder
        self.document = copy.deepcopy(document)
        folder.mkdir(parents=True)

    def write(self, *args: str, **members: Any) -> str:
        """Write it, with this program, and members of ``process``; its path."""
        self.document["process"].update(args=list(args), **members)
        # Another run of these tests on this machine has containers of the same names.
        group = f"/cellcrate-command-{os.getpid()}-{self.folder.parent.name}"
        self.document["linux"].setdefault("cgroupsPath", group)
        (self.folder / "config.json").write_text(json.dumps(self.document))
        return str(self.folder)
