"""``%cellcrate``: the machine, the engine and this package."""

from __future__ import annotations

import sys

from IPython.core.magic import Magics, line_magic, magics_class

from cellcrate.errors import UsageError
from cellcrate.options import split

__all__ = ["CellcrateMagics"]


@magics_class
class CellcrateMagics(Magics):
    """The magic that speaks of Cellcrate itself."""

    @line_magic("cellcrate")
    def cellcrate(self, line: str) -> None:
        """Look at the machine and the engine.

        %cellcrate doctor    what this machine can do for containers, and how to mend the rest
        %cellcrate version   this package, and the engine that cells talk to
        %cellcrate env       the line that points docker's command line at the same engine
        """
        word, *rest = split(line) or ["help"]
        actions = {"doctor": _doctor, "version": _version, "env": _env}
        if word == "help" or (word not in actions and not rest and word in ("-h", "--help")):
            print(CellcrateMagics.cellcrate.__doc__)
            return
        if word not in actions:
            raise UsageError(
                f"%cellcrate has no command {word!r}. It has {', '.join(actions)}; "
                "%cellcrate? explains them."
            )
        if rest and word != "doctor":
            raise UsageError(f"%cellcrate {word} takes no more words.")
        actions[word](rest)


def _doctor(words: list[str]) -> None:
    # A process of its own: the probes make namespaces, which a kernel with threads cannot enter.
    _show_command(["doctor", *words])


def _env(_: list[str]) -> None:
    from cellcrate import connection

    print(f"export DOCKER_HOST={connection.engine().address}")


def _version(_: list[str]) -> None:
    from importlib.metadata import PackageNotFoundError, version

    from cellcrate import connection

    try:
        package = version("cellcrate")
    except PackageNotFoundError:
        package = "not installed"
    engine = connection.engine()
    server = engine.api.version()
    platform = (server.get("Platform") or {}).get("Name", "")
    name = f"{platform} {server.get('Version', '')}".strip()
    print(f"cellcrate {package}")
    print(f"engine    {name} (API {engine.api.api_version}) at {engine.address}")


def _show_command(words: list[str]) -> None:
    import subprocess

    command = [sys.executable, "-m", "cellcrate_runtime", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line.decode(errors="replace"))
            sys.stdout.flush()
    if process.returncode:
        print(f"(exit status {process.returncode})", file=sys.stderr)
