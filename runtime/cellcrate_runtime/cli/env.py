"""``cellcrate env``: the line that points a shell's docker at the engine."""

from __future__ import annotations

import argparse
import os
import shlex
import sys

from cellcrate_runtime.activation import EngineStartError, ensure_engine
from cellcrate_runtime.cli.errors import CommandError

__all__ = ["run"]

LINES = {
    "sh": "export DOCKER_HOST={}",
    "fish": "set -gx DOCKER_HOST {};",
    "csh": "setenv DOCKER_HOST {};",
}
EVALUATE = {
    "sh": 'eval "$(cellcrate env)"',
    "fish": "cellcrate env | source",
    "csh": "eval `cellcrate env`",
}


def run(options: argparse.Namespace) -> int:
    """Start the engine if need be, and print the line."""
    try:
        socket = ensure_engine()
    except (EngineStartError, OSError) as error:
        raise CommandError(str(error)) from error
    shell = options.shell or _own_shell()
    print(LINES[shell].format(shlex.quote(f"unix://{socket}")))
    if sys.stdout.isatty():
        print(f"# To have your shell take this over: {EVALUATE[shell]}")
    return 0


def _own_shell() -> str:
    name = os.path.basename(os.environ.get("SHELL", ""))
    return {"fish": "fish", "csh": "csh", "tcsh": "csh"}.get(name, "sh")
