"""Commands that look at containers and change nothing."""

from __future__ import annotations

from typing import Any

from cellcrate.commands.command import (
    Command,
    each_container,
    filter_option,
    filters,
    link,
    one_container,
    options,
    switch,
)
from cellcrate.errors import UsageError
from cellcrate.options import Option, Parsed
from cellcrate.options.values import count
from cellcrate.widgets.table import Table
from cellcrate.widgets.words import age, human_size

__all__ = ["COMMANDS"]

SHORT_ID = 12
LONGEST_COMMAND = 40

#: What GET /containers/{id}/changes calls a kind of change, in docker's letters.
CHANGES = {0: "C", 1: "A", 2: "D"}


def _ps(parsed: Parsed) -> Any:
    limit = 1 if parsed.on("latest") else parsed.get("last", -1)
    containers = link().ask(
        lambda api: api.containers(
            all=parsed.on("all"), limit=limit, filters=filters(parsed), size=parsed.on("size")
        )
    )
    if parsed.on("quiet"):
        for each in containers:
            print(each["Id"] if parsed.on("no_trunc") else each["Id"][:SHORT_ID])
        return None
    columns = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    if parsed.on("size"):
        columns.append("SIZE")
    return Table(columns, [_row(each, parsed) for each in containers], "no containers")


def _row(container: dict[str, Any], parsed: Parsed) -> list[str]:
    whole = parsed.on("no_trunc")
    command = " ".join(str(container.get("Command") or "").split())
    if not whole and len(command) > LONGEST_COMMAND:
        command = command[: LONGEST_COMMAND - 1] + "…"
    names = [name.lstrip("/") for name in container.get("Names") or []]
    row = [
        container["Id"] if whole else container["Id"][:SHORT_ID],
        str(container.get("Image", "")),
        command,
        age(container.get("Created", 0)),
        str(container.get("Status", "")),
        ", ".join(_port(port) for port in container.get("Ports") or []),
        ", ".join(names),
    ]
    if parsed.on("size"):
        row.append(human_size(container.get("SizeRw") or 0))
    return row


def _port(port: dict[str, Any]) -> str:
    inside = f"{port['PrivatePort']}/{port.get('Type', 'tcp')}"
    if not port.get("PublicPort"):
        return inside
    return f"{port.get('IP', '')}:{port['PublicPort']}->{inside}"


def _inspect(parsed: Parsed) -> Any:
    from cellcrate.widgets.document import Document

    to_engine = link()
    found = [
        to_engine.ask(lambda api, name: api.inspect_container(name), name)
        for name in each_container(parsed, "inspect")
    ]
    return Document(found[0] if len(found) == 1 else found)


def _top(parsed: Parsed) -> Any:
    if not parsed.words:
        raise UsageError("%container top needs the name of a container.")
    name, *ps_options = parsed.words
    answer = link().ask(lambda api: api.top(name, " ".join(ps_options) or None))
    return Table(answer["Titles"], answer["Processes"], "no processes")


def _diff(parsed: Parsed) -> Any:
    name = one_container(parsed, "diff")
    changes = link().ask(lambda api: api.diff(name)) or []
    rows = [[CHANGES.get(each["Kind"], "?"), each["Path"]] for each in changes]
    return Table(["KIND", "PATH"], rows, "no file was changed")


def _port_command(parsed: Parsed) -> Any:
    name = one_container(parsed, "port")
    details = link().ask(lambda api: api.inspect_container(name))
    published = (details.get("NetworkSettings") or {}).get("Ports") or {}
    rows = [
        [port, f"{binding['HostIp']}:{binding['HostPort']}"]
        for port, bindings in published.items()
        for binding in bindings or []
    ]
    return Table(["CONTAINER", "HOST"], rows, "no port is published")


_LAST = Option(
    long="--last",
    short="-n",
    metavar="N",
    read=count,
    help="List the N youngest containers, running or not.",
)

COMMANDS = (
    Command(
        name="ps",
        aliases=("ls", "list"),
        summary="List the containers that run.",
        groups=options(
            switch("--all", "List those too that have ended.", "-a"),
            switch("--quiet", "Print ids alone.", "-q"),
            switch("--latest", "List the youngest container, running or not.", "-l"),
            switch("--no-trunc", "Shorten nothing."),
            switch("--size", "Show how much each has written.", "-s"),
            _LAST,
            filter_option(
                "List what matches: name=web, status=exited, label=tier=1, ancestor=IMAGE."
            ),
        ),
        run=_ps,
    ),
    Command(
        name="inspect",
        usage="CONTAINER...",
        summary="Show everything that the engine knows of containers.",
        words=("container",),
        run=_inspect,
    ),
    Command(
        name="top",
        usage="CONTAINER [PS OPTIONS]",
        summary="List the processes of a container.",
        words=("container", ""),
        mixed=False,
        run=_top,
    ),
    Command(
        name="diff",
        usage="CONTAINER",
        summary="List the files that a container has changed (C), added (A) or deleted (D).",
        words=("container",),
        run=_diff,
    ),
    Command(
        name="port",
        usage="CONTAINER",
        summary="List the ports that a container publishes.",
        words=("container",),
        run=_port_command,
    ),
)
