"""The words of the ``cellcrate`` command.

Only argparse is imported here: a subcommand names the function that runs it, as ``module:name``
of this package, and only that module is imported.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

__all__ = ["make_parser"]

_Subparsers = Any  # argparse names its type of this only privately

PACK_HELP = """\
Make an image out of programs that this machine has: each program, the shared libraries that it
needs, with a Python its standard library, and the files that you add. Nothing is downloaded. The
name comes before "--" or with --tag; without one the image is called like its first program.

  cellcrate image pack curl
  cellcrate image pack game --add levels/:/srv/levels/ -- ./game
  cellcrate image pack calc -e LANG=C.UTF-8 -- python3 bc
  cellcrate image pack --from cellcrate/base --tag bank --add bank.py --cmd "python3 bank.py"
  cellcrate image pack --base
"""
ENV_HELP = """\
Start the engine if it is not running, and print the line that points docker, docker-py and Compose
at it:

  eval "$(cellcrate env)"
"""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="cellcrate",
        description="Real containers on this computer, served through the Docker Engine API.",
        epilog="CELLCRATE_HOME names the folder that all state lies in, if not the usual one.",
    )
    parser.add_argument(
        "--version", action=_VersionAction, help="print the version of Cellcrate and leave"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_doctor(commands)
    _add_engine(commands)
    _add_env(commands)
    _add_image(commands)
    version = _command(commands, "version", "versions:run", "the versions of command and engine")
    version.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _add_doctor(commands: _Subparsers) -> None:
    doctor = _command(
        commands, "doctor", "doctor:run", "try what this machine can do for containers"
    )
    doctor.description = (
        "Try, one by one, the things that containers are built with, and say what each is for, "
        "what is missing, and what mends it. The exit status is 0 if containers can run here."
    )
    doctor.add_argument("--json", action="store_true", help="print JSON")


def _add_engine(commands: _Subparsers) -> None:
    engine = commands.add_parser("engine", help="run, look at, or stop the engine")
    verbs = engine.add_subparsers(title="commands", metavar="COMMAND", required=True)
    run = _command(verbs, "run", "engine:run", "run the engine in the foreground")
    run.description = (
        "Serve the Docker Engine API until interrupted. This is rarely needed: whatever uses the "
        "engine starts it. Containers go on when the engine leaves, and are found again."
    )
    run.add_argument("--socket", metavar="PATH", help="serve on this unix socket")
    run.add_argument(
        "--idle",
        metavar="SECONDS",
        type=float,
        default=0.0,
        help="leave after so long without a request or a running container (default: never)",
    )
    status = _command(verbs, "status", "engine:status", "say whether the engine runs")
    status.description = "The exit status is 0 if the engine runs, and 3 if not."
    status.add_argument("--json", action="store_true", help="print JSON")
    stop = _command(verbs, "stop", "engine:stop", "stop the engine; its containers go on")
    stop.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        default=10.0,
        help="how long to wait for it (default: %(default)s)",
    )


def _add_env(commands: _Subparsers) -> None:
    env = _command(commands, "env", "env:run", "print the line that points docker at the engine")
    env.description = ENV_HELP
    env.add_argument(
        "--shell",
        choices=("sh", "fish", "csh"),
        help="whose words to use (default: those of $SHELL)",
    )


def _add_image(commands: _Subparsers) -> None:
    image = commands.add_parser(
        "image", help="build, pack, pull, push, list, save, load and remove images"
    )
    verbs = image.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=_ImageParser
    )
    _add_pack(verbs)
    _add_build(verbs)
    _add_registry(verbs)
    ls = _command(verbs, "ls", "image:ls", "list images")
    ls.add_argument("-q", "--quiet", action="store_true", help="print ids only")
    ls.add_argument("--no-trunc", action="store_true", help="print whole ids")
    ls.add_argument("--json", action="store_true", help="print JSON")
    rm = _command(verbs, "rm", "image:rm", "remove images")
    rm.add_argument("-f", "--force", action="store_true", help="also if containers were made of it")
    rm.add_argument("images", metavar="IMAGE", nargs="+")
    save = _command(verbs, "save", "image:save", "write images to an archive, as docker save does")
    save.add_argument("-o", "--output", metavar="FILE", help="to a file (default: standard output)")
    save.add_argument("images", metavar="IMAGE", nargs="+")
    load = _command(verbs, "load", "image:load", "read images from an archive, as docker load does")
    load.add_argument("-i", "--input", metavar="FILE", help="from a file (default: standard input)")
    tag = _command(verbs, "tag", "image:tag", "give an image another name")
    tag.add_argument("source", metavar="IMAGE")
    tag.add_argument("target", metavar="NAME[:TAG]")
    inspect = _command(verbs, "inspect", "image:inspect", "print all that is known of images")
    inspect.add_argument("images", metavar="IMAGE", nargs="+")
    history = _command(verbs, "history", "image:history", "print how an image came about")
    history.add_argument("image", metavar="IMAGE")


def _add_registry(verbs: _Subparsers) -> None:
    pull = _command(verbs, "pull", "registry:pull", "get an image from a registry")
    pull.add_argument("-a", "--all-tags", action="store_true", help="all tags of the repository")
    pull.add_argument(
        "--platform", metavar="OS/ARCH", help="the variant for another machine than this one"
    )
    pull.add_argument("-q", "--quiet", action="store_true", help="print the name only")
    pull.add_argument("image", metavar="NAME[:TAG|@DIGEST]")
    push = _command(verbs, "push", "registry:push", "send an image to a registry")
    push.add_argument("-a", "--all-tags", action="store_true", help="all tags of the repository")
    push.add_argument("-q", "--quiet", action="store_true", help="print the name only")
    push.add_argument("image", metavar="NAME[:TAG]")
    tags = _command(verbs, "tags", "registry:tags", "list the tags that a registry has of a name")
    tags.add_argument("repository", metavar="NAME")
    login = _command(verbs, "login", "registry:login", "log in to a registry, as docker login does")
    login.add_argument("-u", "--username", metavar="NAME", help="the user's name there")
    login.add_argument("-p", "--password", metavar="WORD", help="visible to all users: do not")
    login.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input"
    )
    login.add_argument("server", metavar="SERVER", nargs="?", default="", help="or Docker Hub")
    logout = _command(verbs, "logout", "registry:logout", "log out from a registry")
    logout.add_argument("server", metavar="SERVER", nargs="?", default="", help="or Docker Hub")


def _add_build(verbs: _Subparsers) -> None:
    build = _command(verbs, "build", "build:run", "build an image from a Dockerfile, by the engine")
    build.add_argument("folder", metavar="FOLDER", help="the build context")
    more = "(may be given several times)"
    build.add_argument(
        "-t", "--tag", metavar="NAME[:TAG]", action="append", default=[], help=f"its name {more}"
    )
    build.add_argument(
        "-f", "--file", default="Dockerfile", help="the Dockerfile's path in the context"
    )
    build.add_argument(
        "--build-arg", metavar="NAME=VALUE", action="append", default=[],
        help=f"the value of an ARG {more}",
    )  # fmt: skip
    build.add_argument("--label", metavar="NAME=VALUE", action="append", default=[])
    build.add_argument("--target", metavar="STAGE", default="", help="build this stage")
    build.add_argument("--platform", default="", help="must be this machine's")
    build.add_argument("--network", default="", help="of RUN: none (the default) or host")
    build.add_argument("--no-cache", action="store_true", help="do every step anew")
    build.add_argument("--cache-from", metavar="IMAGE", action="append", default=[])
    build.add_argument(
        "--secret", metavar="id=NAME,src=FILE", action="append", default=[],
        help=f"a file for RUN --mount=type=secret {more}",
    )  # fmt: skip
    build.add_argument("-q", "--quiet", action="store_true", help="print the image's id only")


def _add_pack(verbs: _Subparsers) -> None:
    pack = _command(verbs, "pack", "pack:run", "make an image out of programs of this machine")
    pack.has_name_before_dashes = True  # type: ignore[attr-defined]
    pack.description = PACK_HELP
    pack.usage = "%(prog)s [OPTIONS] [NAME[:TAG] --] PROGRAM..."
    pack.add_argument(
        "programs", metavar="PROGRAM", nargs="*", help="a program's path, or its name on PATH"
    )
    pack.add_argument("-t", "--tag", metavar="NAME[:TAG]", help="the image's name")
    pack.add_argument(
        "--add",
        metavar="SRC[:DEST]",
        action="append",
        default=[],
        help="a file or folder; by default it goes into the working directory under its own name",
    )
    pack.add_argument("--from", dest="base", metavar="IMAGE", help="build upon this image")
    pack.add_argument(
        "--entrypoint",
        metavar="WORDS",
        help='what containers run: words as in a shell, or ["a", "JSON", "list"] '
        "(default: the first program)",
    )
    pack.add_argument(
        "--cmd", metavar="WORDS", help="what they run, or its arguments, where none are given"
    )
    pack.add_argument(
        "-e", "--env", metavar="NAME=VALUE", action="append", default=[], help="set a variable"
    )
    pack.add_argument("-w", "--workdir", metavar="DIR", help="the working directory")
    pack.add_argument(
        "--base",
        dest="repack_base",
        action="store_true",
        help="pack the base image (a shell, its tools, this Python) anew, and nothing else",
    )
    pack.add_argument("-q", "--quiet", action="store_true", help="print the image's id only")


def _command(commands: _Subparsers, name: str, run: str, help: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter
        if name in ("pack", "env")
        else argparse.HelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


class _ImageParser(argparse.ArgumentParser):
    """Understands ``NAME -- PROGRAM...`` where it shall; to argparse the dashes mean nothing."""

    has_name_before_dashes = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        words = list(args or ())
        if not self.has_name_before_dashes or "--" not in words:
            return super().parse_known_args(words, namespace)
        dashes = words.index("--")
        found, unknown = super().parse_known_args(words[:dashes], namespace)
        if len(found.programs) > 1 or (found.programs and found.tag):
            self.error("one name at most comes before --, and the programs after it")
        found.tag = found.tag or next(iter(found.programs), None)
        found.programs = words[dashes + 1 :]
        return found, unknown


class _VersionAction(argparse.Action):
    """Prints the version; looking it up costs more than all the rest, so only when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from cellcrate_runtime.version import own_version

        print(f"cellcrate {own_version()}")
        parser.exit(0)
