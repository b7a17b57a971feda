"""Commands that show a stream: logs, exec, attach, events."""

from __future__ import annotations

import time
from typing import Any

from cellcrate.cells.log import show_log
from cellcrate.cells.streams import Printer
from cellcrate.commands.command import (
    Command,
    filter_option,
    filters,
    link,
    one_container,
    options,
    switch,
)
from cellcrate.errors import UsageError
from cellcrate.options import Option, Parsed
from cellcrate.options.values import environment, environment_file, moment

__all__ = ["COMMANDS"]


def _logs(parsed: Parsed) -> None:
    name = one_container(parsed, "logs")
    parameters: dict[str, Any] = {
        "follow": int(parsed.on("follow")),
        "timestamps": int(parsed.on("timestamps")),
        "tail": parsed.get("tail", "all"),
    }
    parameters.update({key: parsed.get(key) for key in ("since", "until") if key in parsed})
    to_engine = link()
    details = to_engine.ask(lambda api: api.inspect_container(name))
    tty = bool(details["Config"]["Tty"])
    printer = Printer(tty=tty)
    try:
        to_engine.ask(lambda api: show_log(api, name, parameters, tty=tty, printer=printer))
    except KeyboardInterrupt:
        # The stop button is how one stops to follow.
        if not parameters["follow"]:
            raise
    finally:
        printer.finish()


def _tail(text: str) -> str:
    if text != "all" and not text.isdecimal():
        raise ValueError(f"{text!r} is no number of lines. Write a number, or all.")
    return text


def _exec(parsed: Parsed) -> Any:
    from cellcrate.cells.execution import Execution, execute

    if len(parsed.words) < 2:
        raise UsageError("%container exec needs a container and a command.")
    container, *command = parsed.words
    files = parsed.get("env_file", [])
    entries = [*(entry for file in files for entry in file), *parsed.get("env", [])]
    execution = Execution(
        container=container,
        command=command,
        tty=parsed.on("tty"),
        user=parsed.get("user", ""),
        workdir=parsed.get("workdir"),
        environment=[entry for entry in entries if entry is not None],
        privileged=parsed.on("privileged"),
        detach=parsed.on("detach"),
        raise_error=not parsed.on("no_raise_error"),
    )
    outcome = execute(link(), execution)
    return outcome if parsed.on("no_raise_error") else None


def _attach(parsed: Parsed) -> None:
    from cellcrate.cells.foreground import follow

    follow(link(), one_container(parsed, "attach"))


def _events(parsed: Parsed) -> None:
    link().ask(_show_events, parsed)


def _show_events(api: Any, parsed: Parsed) -> None:
    stream = api.events(
        since=_seconds(parsed.get("since")),
        until=_seconds(parsed.get("until")),
        filters=filters(parsed),
        decode=True,
    )
    try:
        for event in stream:
            print(_event(event), flush=True)
    except KeyboardInterrupt:
        # The stop button is how one stops to watch.
        return
    finally:
        stream.close()


def _seconds(moment: float | None) -> str | None:
    # docker-py hands on what is no date as it is; the engine reads decimals.
    return None if moment is None else f"{moment:.6f}"


def _event(event: dict[str, Any]) -> str:
    actor = event.get("Actor") or {}
    details = actor.get("Attributes") or {}
    when = time.strftime("%H:%M:%S", time.localtime(event.get("time", 0)))
    name = details.get("name") or str(actor.get("ID", ""))[:12]
    status = f" ({details['exitCode']})" if "exitCode" in details else ""
    return f"{when} {event.get('Type', '')} {event.get('Action', '')} {name}{status}"


_SINCE = Option(
    long="--since", metavar="MOMENT", read=moment, help="Show what is younger: 10m, a date."
)
_UNTIL = Option(long="--until", metavar="MOMENT", read=moment, help="Show what is older.")

LOGS = Command(
    name="logs",
    usage="CONTAINER",
    summary="Show what a container has written.",
    groups=options(
        switch("--follow", "Go on as it writes more; the stop button ends that.", "-f"),
        switch("--timestamps", "Show when each line was written.", "-t"),
        Option(
            long="--tail",
            short="-n",
            metavar="N",
            read=_tail,
            help="Show the last N lines. Default: all.",
        ),
        _SINCE,
        _UNTIL,
    ),
    words=("container",),
    run=_logs,
)

EXEC = Command(
    name="exec",
    usage="CONTAINER COMMAND [ARGUMENT...]",
    summary="Run one more command inside a container that runs.",
    groups=options(
        switch("--detach", "Do not wait for its end.", "-d"),
        switch("--tty", "Give it a terminal.", "-t"),
        switch("--interactive", "Accepted; a notebook has no keyboard for it.", "-i"),
        Option(
            long="--env",
            short="-e",
            metavar="NAME=VALUE",
            repeat=True,
            read=environment,
            help="Set an environment variable.",
        ),
        Option(
            long="--env-file",
            metavar="FILE",
            repeat=True,
            complete="path",
            read=environment_file,
            help="Set the variables that a file names.",
        ),
        Option(long="--user", short="-u", metavar="USER[:GROUP]", help="The user to run as."),
        Option(long="--workdir", short="-w", metavar="PATH", help="The folder to start in."),
        switch("--privileged", "Give it every capability."),
        switch("--no-raise-error", "Return how it ended, in place of an error."),
    ),
    words=("container", ""),
    mixed=False,
    run=_exec,
)

ATTACH = Command(
    name="attach",
    usage="CONTAINER",
    summary="Show what a container writes from now on; the stop button leaves it running.",
    words=("container",),
    run=_attach,
)

EVENTS = Command(
    name="events",
    summary="Show what happens to containers, as it happens; the stop button ends that.",
    groups=options(
        _SINCE,
        _UNTIL,
        filter_option("Show what matches: container=web, event=die, type=container."),
    ),
    run=_events,
)

COMMANDS = (LOGS, EXEC, ATTACH, EVENTS)
