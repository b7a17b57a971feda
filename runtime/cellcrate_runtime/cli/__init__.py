"""The ``cellcrate`` command."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from cellcrate_runtime.cli.errors import CommandError
from cellcrate_runtime.cli.parser import make_parser

__all__ = ["main"]

USAGE_ERROR = 2
# What a shell reports for a program that a signal ended: 128 and the signal's number.
INTERRUPTED = 130
PIPE_CLOSED = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the ``cellcrate`` command and return its exit status.

    Each subcommand's module is imported only when it runs, so that help and completion are quick.
    """
    parser = make_parser()
    options = parser.parse_args(arguments)
    module, _, function = options.run.partition(":")
    try:
        command = importlib.import_module(f"cellcrate_runtime.cli.{module}")
        status: int = getattr(command, function)(options)
        sys.stdout.flush()
    except CommandError as error:
        print(f"cellcrate: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough; Python must not complain about it on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    return status
