"""Commands that change a container's life: start, stop, remove, limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cellcrate.commands.command import (
    Command,
    each_container,
    for_each,
    link,
    options,
    switch,
)
from cellcrate.errors import UsageError
from cellcrate.http import checked, container_url
from cellcrate.options import Option, Parsed
from cellcrate.options.option import Body
from cellcrate.options.run import LIVE
from cellcrate.options.values import integer, restart_policy
from cellcrate.widgets.words import human_size

__all__ = ["COMMANDS"]


def _for_each(names: list[str], action: Callable[[Any, str], Any]) -> None:
    """Act on every container, and print the names of those it was done to."""

    def act(api: Any, name: str) -> str:
        action(api, name)
        return name

    for_each(names, act)


def _start(parsed: Parsed) -> None:
    _for_each(each_container(parsed, "start"), lambda api, name: api.start(name))


def _stop(parsed: Parsed) -> None:
    timeout = parsed.get("timeout", parsed.get("time"))
    _for_each(each_container(parsed, "stop"), lambda api, name: api.stop(name, timeout=timeout))


def _restart(parsed: Parsed) -> None:
    timeout = parsed.get("timeout", parsed.get("time", 10))
    _for_each(
        each_container(parsed, "restart"), lambda api, name: api.restart(name, timeout=timeout)
    )


def _kill(parsed: Parsed) -> None:
    signal = parsed.get("signal", "KILL")
    _for_each(each_container(parsed, "kill"), lambda api, name: api.kill(name, signal))


def _pause(parsed: Parsed) -> None:
    _for_each(each_container(parsed, "pause"), lambda api, name: api.pause(name))


def _unpause(parsed: Parsed) -> None:
    _for_each(each_container(parsed, "unpause"), lambda api, name: api.unpause(name))


def _rm(parsed: Parsed) -> None:
    force, volumes = parsed.on("force"), parsed.on("volumes")
    _for_each(
        each_container(parsed, "rm"),
        lambda api, name: api.remove_container(name, v=volumes, force=force),
    )


def _rename(parsed: Parsed) -> None:
    if len(parsed.words) != 2:
        raise UsageError("%container rename needs two names: the present one and the new one.")
    old, new = parsed.words
    link().ask(lambda api: api.rename(old, new))


def _wait(parsed: Parsed) -> Any:
    condition = parsed.get("condition")
    names = each_container(parsed, "wait")
    to_engine = link()
    answers = [
        to_engine.ask(lambda api, name: api.wait(name, condition=condition), name) for name in names
    ]
    statuses = [answer["StatusCode"] for answer in answers]
    return statuses[0] if len(statuses) == 1 else statuses


def _update(parsed: Parsed) -> None:
    names = each_container(parsed, "update")
    body: Body = {}
    for option in (option for group in UPDATE.groups for option in group.options):
        if option.put is not None and option.key in parsed:
            option.put(body, parsed.get(option.key))
    if not body:
        raise UsageError("%container update needs a limit to change, such as --memory 128m.")
    _for_each(names, lambda api, name: _post_update(api, name, body))


def _post_update(api: Any, name: str, body: Body) -> None:
    # docker-py's update_container knows neither NanoCpus nor PidsLimit.
    url = container_url(api, name, "update")
    answer = checked(api.post(url, json=body, timeout=api.timeout)).json()
    for warning in answer.get("Warnings") or []:
        print(warning)


def _prune(parsed: Parsed) -> None:
    answer = link().ask(lambda api: api.prune_containers())
    for container in answer.get("ContainersDeleted") or []:
        print(container[:12])
    print(f"Space won back: {human_size(answer.get('SpaceReclaimed', 0))}")


_TIMEOUT = Option(
    long="--timeout",
    short="-t",
    metavar="SECONDS",
    read=integer,
    help="How long it may take to stop, before it is killed.",
)
# docker called it --time before it called it --timeout.
_TIME = Option(long="--time", metavar="SECONDS", read=integer, help="The older name of --timeout.")

_RESTART = Option(
    long="--restart",
    metavar="POLICY",
    read=restart_policy,
    put=lambda body, value: body.update(RestartPolicy=value),
    help="no, always, unless-stopped or on-failure[:TIMES].",
)

_SIGNAL = Option(
    long="--signal",
    short="-s",
    metavar="SIGNAL",
    complete="signal",
    help="The signal. Default: KILL.",
)

_CONDITION = Option(
    long="--condition",
    metavar="WHEN",
    choices=("not-running", "next-exit", "removed"),
    help="What to wait for. Default: not-running.",
)

UPDATE = Command(
    name="update",
    usage="CONTAINER...",
    summary="Change the limits of containers while they run.",
    groups=(LIVE, *options(_RESTART)),
    words=("container",),
    run=_update,
)

COMMANDS = (
    Command(
        name="start",
        usage="CONTAINER...",
        summary="Start containers that have ended.",
        words=("container",),
        run=_start,
    ),
    Command(
        name="stop",
        usage="CONTAINER...",
        summary="Ask containers to end, and kill those that do not.",
        groups=options(_TIMEOUT, _TIME),
        words=("container",),
        run=_stop,
    ),
    Command(
        name="restart",
        usage="CONTAINER...",
        summary="Stop containers and start them again.",
        groups=options(_TIMEOUT, _TIME),
        words=("container",),
        run=_restart,
    ),
    Command(
        name="kill",
        usage="CONTAINER...",
        summary="Send a signal to the first process of containers.",
        groups=options(_SIGNAL),
        words=("container",),
        run=_kill,
    ),
    Command(
        name="pause",
        usage="CONTAINER...",
        summary="Freeze every process of containers.",
        words=("container",),
        run=_pause,
    ),
    Command(
        name="unpause",
        usage="CONTAINER...",
        summary="Let frozen containers go on.",
        words=("container",),
        run=_unpause,
    ),
    Command(
        name="wait",
        usage="CONTAINER...",
        summary="Wait until containers end, and return their exit statuses.",
        groups=options(_CONDITION),
        words=("container",),
        run=_wait,
    ),
    UPDATE,
    Command(
        name="rename",
        usage="CONTAINER NAME",
        summary="Give a container another name.",
        words=("container", ""),
        run=_rename,
    ),
    Command(
        name="rm",
        usage="CONTAINER...",
        summary="Remove containers, with their files and logs.",
        groups=options(
            switch("--force", "Kill those that still run.", "-f"),
            switch("--volumes", "Remove their anonymous volumes too.", "-v"),
        ),
        words=("container",),
        run=_rm,
    ),
    Command(
        name="prune",
        summary="Remove all containers that have ended.",
        groups=options(switch("--force", "As always here: nothing asks for confirmation.", "-f")),
        run=_prune,
    ),
)
