"""The process, its health and its log.

Names and meanings are those of docker's reference, "docker container run"; paths in the body are
those of the Docker Engine API, "ContainerCreate" (v1.47).
"""

from __future__ import annotations

from collections.abc import Iterable

from cellcrate.options import values
from cellcrate.options.option import Body, Group, Option, at, items_at, mapping_at

__all__ = ["HEALTH", "PROCESS"]


def _put_environment(body: Body, entries: Iterable[str | None]) -> None:
    known = [entry for entry in entries if entry is not None]
    body.setdefault("Env", []).extend(known)


def _put_environment_files(body: Body, files: Iterable[list[str]]) -> None:
    # docker lets --env win over --env-file, whatever their order; the last entry of a name counts.
    entries = [entry for file in files for entry in file]
    body["Env"] = entries + body.get("Env", [])


def _put_health_command(body: Body, command: str) -> None:
    at("Healthcheck.Test")(body, ["CMD-SHELL", command])


def _put_no_health(body: Body, off: bool) -> None:
    if off:
        body["Healthcheck"] = {"Test": ["NONE"]}


PROCESS = Group(
    "The process",
    (
        Option(
            long="--env",
            short="-e",
            metavar="NAME=VALUE",
            repeat=True,
            read=values.environment,
            put=_put_environment,
            help="Set an environment variable; NAME alone takes the notebook's own.",
        ),
        Option(
            long="--env-file",
            metavar="FILE",
            repeat=True,
            complete="path",
            read=values.environment_file,
            put=_put_environment_files,
            help="Set the variables that a file of NAME=VALUE lines names.",
        ),
        Option(
            long="--workdir",
            short="-w",
            metavar="PATH",
            put=at("WorkingDir"),
            help="The folder that the command starts in.",
        ),
        Option(
            long="--user",
            short="-u",
            metavar="USER[:GROUP]",
            put=at("User"),
            help="The user to run as, by name or number.",
        ),
        Option(
            long="--group-add",
            metavar="GROUP",
            repeat=True,
            put=items_at("HostConfig.GroupAdd"),
            help="One more group for the user.",
        ),
        Option(
            long="--entrypoint",
            metavar="PROGRAM",
            help="The program to run in place of the image's own; the cell is its standard input.",
        ),
        Option(
            long="--interactive",
            short="-i",
            help="Keep standard input open. (With a command in the line it is: it is the cell.)",
        ),
        Option(
            long="--tty",
            short="-t",
            put=at("Tty"),
            help="Give the command a terminal: programs that colour for a terminal do so.",
        ),
        Option(
            long="--init",
            put=at("HostConfig.Init"),
            help="Run a small init as process 1, which passes signals on and reaps.",
        ),
        Option(
            long="--stop-signal",
            metavar="SIGNAL",
            complete="signal",
            put=at("StopSignal"),
            help="The signal that asks the container to stop. Default: SIGTERM.",
        ),
        Option(
            long="--stop-timeout",
            metavar="SECONDS",
            read=values.integer,
            put=at("StopTimeout"),
            help="How long it may take to stop, before it is killed.",
        ),
    ),
)


HEALTH = Group(
    "Health and log",
    (
        Option(
            long="--health-cmd",
            metavar="COMMAND",
            put=_put_health_command,
            help="A command that tells, by its exit status, whether the container is well.",
        ),
        *(
            Option(
                long=f"--health-{name}",
                metavar="TIME",
                read=values.duration,
                put=at(f"Healthcheck.{field}"),
                help=text,
            )
            for name, field, text in (
                ("interval", "Interval", "The time between two checks: 30s."),
                ("timeout", "Timeout", "The time that one check may take."),
                ("start-period", "StartPeriod", "Failures do not count for so long at first."),
                ("start-interval", "StartInterval", "The time between checks in that period."),
            )
        ),
        Option(
            long="--health-retries",
            metavar="N",
            read=values.count,
            put=at("Healthcheck.Retries"),
            help="Failures in a row that make the container unhealthy.",
        ),
        Option(long="--no-healthcheck", put=_put_no_health, help="Leave out the image's check."),
        Option(
            long="--log-driver",
            metavar="NAME",
            put=at("HostConfig.LogConfig.Type"),
            help="Where the log goes.",
        ),
        Option(
            long="--log-opt",
            metavar="NAME=VALUE",
            repeat=True,
            read=values.key_value,
            put=mapping_at("HostConfig.LogConfig.Config"),
            help="An option of the log: max-size=10m, max-file=3.",
        ),
    ),
)
