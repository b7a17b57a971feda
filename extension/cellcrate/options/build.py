"""The options of ``%%image`` and ``%image build``: those of ``docker build``, and more.

Names and meanings are those of docker's reference, "docker build (legacy builder)"; the names in
the body are the parameters of the Docker Engine API, "ImageBuild" (v1.47).
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

from cellcrate.options import values
from cellcrate.options.option import Body, Group, Option, at, items_at, mapping_at

__all__ = ["BUILD_GROUPS", "CELL_BUILD_GROUPS"]

#: The period in which a quota of processor time counts, in microseconds: the kernel's default.
PERIOD = 100_000

#: The largest secret, in bytes: it travels in the head of a request.
LARGEST_SECRET = 32 << 10


def _argument(text: str) -> tuple[str, str | None]:
    """Read ``NAME=VALUE``, or ``NAME`` alone, whose value is this process's variable."""
    name, equals, value = text.partition("=")
    if not name:
        raise ValueError(f"{text!r} has no name. Write NAME=VALUE.")
    return name, value if equals else os.environ.get(name)


def _secret(text: str) -> tuple[str, bytes]:
    """Read ``id=NAME,src=FILE`` or ``id=NAME,env=VARIABLE``; return the secret itself."""
    fields = {}
    for item in next(csv.reader([text]), []):
        name, _, value = item.partition("=")
        fields[name.lower()] = value
    kind = fields.pop("type", "")
    source = fields.pop("src", "") or fields.pop("source", "")
    variable = fields.pop("env", "")
    name = fields.pop("id", "") or Path(source).name
    if fields or kind not in ("", "file", "env") or not name or bool(source) == bool(variable):
        raise ValueError(f"{text!r} names no secret. Write id=NAME,src=FILE or id=NAME,env=NAME.")
    if variable:
        if variable not in os.environ:
            raise ValueError(f"there is no variable {variable} in this kernel's environment.")
        content = os.environ[variable].encode()
    else:
        try:
            content = Path(source).expanduser().read_bytes()
        except OSError as error:
            raise ValueError(f"{source} cannot be read: {error.strerror}.") from None
    if len(content) > LARGEST_SECRET:
        raise ValueError(f"the secret {name} is larger than {LARGEST_SECRET >> 10} KiB.")
    return name, content


def _put_cpus(body: Body, nano: int) -> None:
    body.update(cpuperiod=PERIOD, cpuquota=nano * PERIOD // 10**9)


def _limit(
    long: str, key: str, metavar: str, help_: str, read: object = str, short: str = ""
) -> Option:
    return Option(
        long=long,
        short=short,
        metavar=metavar,
        help=help_,
        put=at(key),
        read=read,  # type: ignore[arg-type]
    )


_IMAGE = Group(
    "The image",
    (
        Option(
            long="--build-arg",
            metavar="NAME=VALUE",
            repeat=True,
            read=_argument,
            put=mapping_at("buildargs"),
            help="Set a variable that the Dockerfile declares with ARG.",
        ),
        Option(
            long="--target",
            metavar="STAGE",
            put=at("target"),
            help="Build up to this stage, and no further.",
        ),
        Option(
            long="--label",
            metavar="NAME=VALUE",
            repeat=True,
            read=values.label,
            put=mapping_at("labels"),
            help="Attach a label to the image.",
        ),
        Option(
            long="--platform",
            metavar="PLATFORM",
            put=at("platform"),
            help="The platform, such as linux/amd64.",
        ),
    ),
)

_BUILDING = Group(
    "Building",
    (
        Option(long="--no-cache", put=at("nocache"), help="Do every step again."),
        Option(
            long="--pull", put=at("pull"), help="Look for newer images of FROM in the registry."
        ),
        Option(
            long="--network",
            metavar="NETWORK",
            complete="network",
            put=at("networkmode"),
            help="The network of RUN: none, host, or what %%container takes.",
        ),
        Option(
            long="--add-host",
            metavar="NAME:ADDRESS",
            repeat=True,
            read=values.host_entry,
            put=items_at("extrahosts"),
            help="Name a machine for RUN.",
        ),
        Option(
            long="--secret",
            metavar="id=NAME,src=FILE",
            repeat=True,
            read=_secret,
            help="Hand RUN --mount=type=secret,id=NAME a file that stays in no layer. Cellcrate's "
            "own engine alone takes them.",
        ),
        Option(
            long="--quiet", short="-q", help="Show no steps; print the image's id alone at the end."
        ),
        Option(
            long="--progress",
            metavar="HOW",
            choices=("auto", "plain"),
            help="plain writes the steps as text, also in a notebook. Default: auto.",
        ),
    ),
)

_LIMITS = Group(
    "Limits of RUN",
    (
        _limit("--memory", "memory", "SIZE", "The limit on memory: 64m, 1g.", values.size, "-m"),
        _limit(
            "--memory-swap",
            "memswap",
            "SIZE",
            "The limit on memory and swap together; -1 for none.",
            values.memory_swap,
        ),
        Option(
            long="--cpus",
            metavar="NUMBER",
            read=values.cpus,
            put=_put_cpus,
            help="How many processors: short for --cpu-period and --cpu-quota.",
        ),
        _limit(
            "--cpu-shares",
            "cpushares",
            "WEIGHT",
            "Its share of a busy processor against others, which have 1024.",
            values.count,
            "-c",
        ),
        _limit("--cpuset-cpus", "cpusetcpus", "LIST", "The processors to run on: 0-2 or 0,2."),
        _limit("--cpu-period", "cpuperiod", "MICROSECONDS", "For --cpu-quota.", values.count),
        _limit(
            "--cpu-quota",
            "cpuquota",
            "MICROSECONDS",
            "The processor time in each period.",
            values.integer,
        ),
        _limit("--shm-size", "shmsize", "SIZE", "The size of /dev/shm.", values.size),
    ),
)

_CONTEXT = Group(
    "The cell",
    (
        Option(
            long="--context",
            metavar="FOLDER",
            complete="path",
            help="The folder whose files COPY and ADD find; . is the notebook's. Default: none.",
        ),
    ),
)

_COMMAND = Group(
    "The build",
    (
        Option(
            long="--tag",
            short="-t",
            metavar="NAME[:TAG]",
            repeat=True,
            help="The image's name.",
        ),
        Option(
            long="--file",
            short="-f",
            metavar="FILE",
            complete="path",
            help="The Dockerfile. Default: Dockerfile in the folder.",
        ),
    ),
)


def _refused(long: str, why: str, metavar: str = "", short: str = "") -> Option:
    return Option(long=long, short=short, metavar=metavar, help="", refused=why)


_REFUSED = Group(
    "",
    (
        _refused("--cache-from", "the engine's own build cache is used.", "IMAGE"),
        _refused("--cache-to", "the engine's own build cache is used.", "WHERE"),
        _refused("--squash", "an image is shown, and shared, by its layers."),
        _refused("--ssh", "use --secret for a key.", "KEY"),
        _refused("--output", "use %image save, or %container cp.", "WHERE", "-o"),
        _refused("--iidfile", "the object that the cell returns has the id.", "FILE"),
    ),
)

#: The options of ``%image build``, whose Dockerfile lies in a folder.
BUILD_GROUPS = (_COMMAND, _IMAGE, _BUILDING, _LIMITS, _REFUSED)

#: The options of ``%%image``.
CELL_BUILD_GROUPS = (
    _CONTEXT,
    _IMAGE,
    _BUILDING,
    _LIMITS,
    _REFUSED,
    Group(
        "",
        (
            _refused("--file", "the cell is the Dockerfile.", "FILE", "-f"),
            _refused("--tag", "the first word is the image's name.", "NAME", "-t"),
        ),
    ),
)
