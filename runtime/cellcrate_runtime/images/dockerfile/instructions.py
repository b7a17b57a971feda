"""The instructions of a Dockerfile, understood but not yet done: their variables are as written.

Source: the reference of the Dockerfile format. Names of members follow it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from cellcrate_runtime.images.dockerfile.heredocs import Heredoc

__all__ = [
    "Add",
    "Arg",
    "Cmd",
    "Command",
    "Copy",
    "Entrypoint",
    "Env",
    "Expose",
    "Files",
    "Healthcheck",
    "Instruction",
    "Label",
    "Maintainer",
    "Mount",
    "OnBuild",
    "Pair",
    "Run",
    "Shell",
    "Stage",
    "StopSignal",
    "User",
    "Volume",
    "Workdir",
]

Pair: TypeAlias = tuple[str, str]
MountKind: TypeAlias = Literal["bind", "cache", "tmpfs", "secret"]
Sharing: TypeAlias = Literal["shared", "private", "locked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What all instructions have.

    Attributes:
        line: The line where it begins, from 1.
        text: How it is written, with continued lines joined.
    """

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, or a line for a shell.

    Attributes:
        words: The words of the exec form; the one line of the shell form.
        shell: Whether it is the shell form.
    """

    words: tuple[str, ...]
    shell: bool


@dataclass(frozen=True, slots=True)
class Mount:
    """``--mount`` of a RUN: what is there while it runs, and is no part of the layer.

    Attributes:
        kind: What is mounted.
        target: Where; empty for a secret's usual place.
        source: The path in what it comes from.
        origin: ``from``: the stage or image that a bind or the first content of a cache comes from;
            empty for the build context.
        id: Which cache or secret; empty for the usual one.
        read_only: Whether it may not be written.
        sharing: What happens when two builds want the same cache.
        mode: The permissions of a cache's folder or of a secret; None for the usual ones.
        uid: The owner of a cache's folder or of a secret.
        gid: Its group.
        size: The most bytes of a tmpfs; 0 for no limit of its own.
        required: Whether it is an error if there is no such secret.
        variable: ``env``: the variable that has the secret, beside or in place of the file.
    """

    kind: MountKind
    target: str = ""
    source: str = ""
    origin: str = ""
    id: str = ""
    read_only: bool = False
    sharing: Sharing = "shared"
    mode: int | None = None
    uid: int = 0
    gid: int = 0
    size: int = 0
    required: bool = False
    variable: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg(Instruction):
    """Variables of the build, with their defaults; None where there is none."""

    pairs: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Instruction):
    """Run a program, and make a layer of what it changes.

    Attributes:
        command: The program.
        heredocs: What the command's line is followed by.
        mounts: What is mounted meanwhile, as written; see :func:`mounts.parse_mount`.
        network: Which network it has; empty for the build's.
    """

    command: Command
    heredocs: tuple[Heredoc, ...] = ()
    mounts: tuple[str, ...] = ()
    network: Literal["", "default", "none", "host"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files(Instruction):
    """What COPY and ADD have in common.

    Attributes:
        sources: Paths, which may have wildcards.
        contents: Files that are written in the Dockerfile.
        destination: Where they go.
        chown: User and group, by name or number; empty for root.
        chmod: The mode, octal or as in chmod(1); empty for that of the source.
        link: Whether links in the destination's path are not followed, because the layer is to be
            the same on every base.
        excludes: Patterns of what is left out.
        parents: Whether the folders of the sources' paths are kept.
    """

    sources: tuple[str, ...]
    contents: tuple[Heredoc, ...] = ()
    destination: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    excludes: tuple[str, ...] = ()
    parents: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Files):
    """Copy from the context, a stage or an image (``origin``, which is ``--from``)."""

    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Files):
    """Copy from the context or from an address, and unpack archives of the context.

    Attributes:
        checksum: The digest that what is fetched must have; empty for any.
        unpack: Whether archives are unpacked: None for those of the context alone.
    """

    checksum: str = ""
    unpack: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Env(Instruction):
    """Environment variables."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Instruction):
    """Labels. A label of the old form (``LABEL name value``) has its variables as written."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workdir(Instruction):
    """The working directory, which is made if it is not there."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Instruction):
    """Who runs what follows."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cmd(Instruction):
    """What a container runs, or the arguments of its entry point."""

    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrypoint(Instruction):
    """What a container runs whatever arguments it is given."""

    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Expose(Instruction):
    """Ports, as they are written."""

    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Instruction):
    """Folders that are volumes."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck(Instruction):
    """How to find out whether a container is well; times in nanoseconds, 0 for the usual ones.

    Attributes:
        test: ``NONE``, or ``CMD`` or ``CMD-SHELL`` and what follows.
    """

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell(Instruction):
    """The shell of the shell forms that follow."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSignal(Instruction):
    """The signal that stops a container."""

    signal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OnBuild(Instruction):
    """An instruction that is done when another image is built upon this one, as it is written."""

    expression: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintainer(Instruction):
    """Who made the image."""

    name: str


@dataclass(slots=True)
class Stage:
    """A FROM and the instructions that follow it.

    Attributes:
        line: The line of the FROM.
        text: How the FROM is written.
        base: The image or stage that it begins with, as written.
        name: Its own name in small letters; empty without one.
        platform: ``--platform``, as written.
        instructions: What follows.
    """

    line: int
    text: str
    base: str
    name: str = ""
    platform: str = ""
    instructions: list[Instruction] = field(default_factory=list)
