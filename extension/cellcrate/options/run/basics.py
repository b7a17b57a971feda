"""What the container is called, and how its cell and its life go.

Names and meanings are those of docker's reference, "docker container run"; paths in the body are
those of the Docker Engine API, "ContainerCreate" (v1.47).
"""

from __future__ import annotations

from collections.abc import Iterable

from cellcrate.options import values
from cellcrate.options.option import Body, Group, Option, at, mapping_at

__all__ = ["CELL", "CONTAINER", "REFUSED", "TRACE"]

#: The annotation by which Cellcrate's engine is asked to keep a trace of a container's starts.
TRACE = "org.cellcrate.trace"


def _put_trace(body: Body, wanted: bool) -> None:
    # Not a label, which an image could have too.
    if wanted:
        mapping_at("HostConfig.Annotations")(body, [(TRACE, "true")])


CELL = Group(
    "The cell",
    (
        Option(
            long="--image",
            metavar="IMAGE",
            complete="image",
            help="The image, in place of the first word; every word is then part of the command.",
        ),
        Option(
            long="--interpreter",
            metavar="PROGRAM",
            help="The program in the container that runs the cell's text. Default: sh, or what "
            "the cell's first line names (#!/usr/bin/awk -f).",
        ),
        Option(long="--python", help="Run the cell with the image's python3."),
        Option(
            long="--no-raise-error",
            help="Return the exit status, in place of an error where it is not 0.",
        ),
        Option(
            long="--no-rm",
            help="Keep the container when the cell has ended, to look at its files and its log.",
        ),
        Option(
            long="--trace",
            put=_put_trace,
            help="Show below the cell what the runtime did to start the container; with --detach, "
            "%container trace shows it. Other runtimes are watched by strace.",
        ),
    ),
)


def _put_label_files(body: Body, files: Iterable[list[tuple[str, str]]]) -> None:
    # As for variables, what the line says wins over what a file says.
    labels = dict(pair for file in files for pair in file)
    body["Labels"] = {**labels, **body.get("Labels", {})}


CONTAINER = Group(
    "The container",
    (
        Option(
            long="--detach",
            short="-d",
            help="Run in the background and return a container object that shows its live state.",
        ),
        Option(long="--name", metavar="NAME", help="The container's name."),
        Option(
            long="--replace",
            help="Remove the container that has the name, if there is one, so that a cell with "
            "--name can run again.",
        ),
        Option(
            long="--rm",
            help="Remove the container when it ends: the default, except with --detach.",
        ),
        Option(
            long="--pull",
            metavar="WHEN",
            choices=("missing", "always", "never"),
            help="Fetch the image before the start. Default: missing.",
        ),
        Option(long="--quiet", short="-q", help="Show no progress of a fetched image."),
        Option(
            long="--platform",
            metavar="PLATFORM",
            help="The platform, such as linux/amd64, where an image has several.",
        ),
        Option(
            long="--restart",
            metavar="POLICY",
            read=values.restart_policy,
            put=at("HostConfig.RestartPolicy"),
            help="no, always, unless-stopped or on-failure[:TIMES]. Needs --detach.",
        ),
        Option(
            long="--label",
            short="-l",
            metavar="NAME=VALUE",
            repeat=True,
            read=values.label,
            put=mapping_at("Labels"),
            help="Attach a label to the container.",
        ),
        Option(
            long="--label-file",
            metavar="FILE",
            repeat=True,
            complete="path",
            read=values.label_file,
            put=_put_label_files,
            help="Attach the labels of a file.",
        ),
        Option(
            long="--annotation",
            metavar="NAME=VALUE",
            repeat=True,
            read=values.label,
            put=mapping_at("HostConfig.Annotations"),
            help="Hand an annotation to the OCI runtime.",
        ),
        Option(
            long="--runtime",
            metavar="NAME",
            complete="runtime",
            put=at("HostConfig.Runtime"),
            help="The OCI runtime that makes the container: runc, crun. "
            "%container runtimes lists them.",
        ),
    ),
)


def _refused(long: str, why: str, metavar: str = "", short: str = "") -> Option:
    return Option(long=long, short=short, metavar=metavar, help="", refused=why)


REFUSED = Group(
    "",
    (
        _refused("--gpus", "Cellcrate does not hand graphics processors to containers.", "GPUS"),
        _refused("--link", "docker has retired it; containers on one network find names.", "NAME"),
        _refused("--attach", "a cell always shows both output streams.", "STREAM", "-a"),
        _refused("--detach-keys", "a cell has no keyboard; use --detach.", "KEYS"),
        _refused("--sig-proxy", "the stop button stops the container."),
        _refused("--cidfile", "--detach returns an object that has the id.", "FILE"),
        _refused("--isolation", "it is for Windows containers.", "MODE"),
        _refused("--kernel-memory", "the kernel has retired it; use --memory.", "BYTES"),
        _refused("--network-alias", "give the container a --name.", "NAME"),
        _refused("--ip", "addresses are given out by the network.", "ADDRESS"),
        _refused("--help", "put a question mark after the magic's name: %%container?"),
    ),
)
