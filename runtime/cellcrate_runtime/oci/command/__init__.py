"""``cellcrate-oci``: the runtime as a program, as Podman and containerd call one.

Commands and options are those of runc(8) and crun(1); what they mean is in OCI runtime-spec 1.3,
runtime.md. Each command's module is loaded when it is called, because a caller executes this
program many times in a container's life.
"""

from __future__ import annotations

import gc
import os
import sys

from cellcrate_runtime.oci.command.arguments import Arguments, parse
from cellcrate_runtime.oci.command.commands import COMMANDS, GLOBAL, Command
from cellcrate_runtime.oci.command.errors import CommandError, UsageError
from cellcrate_runtime.oci.command.reporting import Reporter
from cellcrate_runtime.oci.command.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:  # as typing has it, whose import takes longer than the rest
    from collections.abc import Sequence

__all__ = ["main", "run_command"]

_NAME = "cellcrate-oci"


def main() -> None:
    """Carry out the command line, and leave."""
    gc.disable()  # nothing here lives long enough to be collected
    status = run_command(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = 1
    # Nothing here waits for its end, so the interpreter need not be taken apart.
    os._exit(status)


def run_command(given: Sequence[str]) -> int:
    """Carry out a command line: the exit status. What fails is reported."""
    reporter = Reporter()
    failed = 1
    try:
        options = parse(given, GLOBAL, stop_at_word=True)
        reporter = Reporter.of(options)
        if options.has("version"):
            return _print_version()
        if options.has("help") or not options.words:
            return _print_help()
        name, *rest = options.words
        if name == "help":
            return _print_help()
        command = COMMANDS.get(name)
        if command is None:
            raise UsageError(f"No help topic for '{name}'", 3)
        failed = command.failed
        return _call(name, command, rest, Settings.of(options, reporter))
    except CommandError as error:
        reporter.error(str(error))
        return error.status if error.status != 1 else failed
    except OSError as error:
        from cellcrate_runtime.oci.errors import describe

        reporter.error(describe(error))
        return failed


def _call(name: str, command: Command, rest: Sequence[str], settings: Settings) -> int:
    if command.options is None:
        asks_for_help = not {"-h", "--help"}.isdisjoint(rest)
        arguments = Arguments({"help": ["true"]} if asks_for_help else {}, list(rest))
    else:
        known = command.options + " help,h"
        arguments = parse(rest, known, stop_at_word=command.takes_program)
    if arguments.has("help"):
        return _print_command_help(name, command)
    if not command.accepts(len(arguments.words)):
        raise UsageError(f"{_NAME} {name}: it is called as: {_usage(name, command)}")
    if command.makes_process:
        from cellcrate_runtime.oci.command import interpreter

        interpreter.protect()
        # msgspec would import it for what typing has too, and that takes a fifth of the command.
        sys.modules.setdefault("typing_extensions", None)  # type: ignore[arg-type]
    module_name, _, function = command.place.partition(":")
    module = __import__(f"{__name__}.{module_name}", fromlist=[function])
    return _with_clear_errors(name, getattr(module, function), settings, arguments)


def _with_clear_errors(
    name: str, function: object, settings: Settings, arguments: Arguments
) -> int:
    assert callable(function)
    try:
        return int(function(settings, arguments) or 0)
    except (CommandError, OSError):
        raise
    except Exception as error:
        # Those of the layers below, whose modules need not be loaded to be told apart.
        message = str(error) or type(error).__name__
        if name in ("create", "run", "start", "exec"):
            message = f"{_NAME} {name} failed: unable to start container process: {message}"
        if settings.reporter.debug:
            import traceback

            settings.reporter.note(traceback.format_exc())
        raise CommandError(message) from error


def _print_version() -> int:
    from cellcrate_runtime.version import own_version

    print(f"{_NAME} version {own_version()}\nspec: 1.3.0")
    return 0


def _print_help() -> int:
    print(f"NAME:\n   {_NAME} - Open Container Initiative runtime\n")
    print(f"USAGE:\n   {_NAME} [OPTION...] COMMAND [OPTION...] [WORD...]\n\nCOMMANDS:")
    for name, command in COMMANDS.items():
        print(f"   {name:12}{command.summary}")
    print("\nOPTIONS:")
    _print_options(GLOBAL)
    return 0


def _print_command_help(name: str, command: Command) -> int:
    print(f"NAME:\n   {_NAME} {name} - {command.summary}\n")
    print(f"USAGE:\n   {_usage(name, command)}")
    if command.options:
        print("\nOPTIONS:")
        _print_options(command.options)
    return 0


def _usage(name: str, command: Command) -> str:
    options = "[OPTION...]" if command.options else ""
    return " ".join(word for word in (_NAME, name, options, command.words) if word)


def _print_options(options: str) -> None:
    for option in options.split():
        long, *short = option.removesuffix("=").split(",")
        names = ", ".join([f"--{long}", *(f"-{name}" for name in short)])
        print(f"   {names}{' VALUE' if option.endswith('=') else ''}")
