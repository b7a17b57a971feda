"""The commands: where each one is, and what it is called with."""

from __future__ import annotations

__all__ = ["COMMANDS", "GLOBAL", "Command"]

GLOBAL = (
    "root= log= log-format= log-level= systemd-cgroup,s cgroup-manager= rootless= criu= debug "
    "version,v help,h"
)

_MAKING = (
    "bundle,b= config,f= console-socket= pidfd-socket= pid-file= preserve-fds= no-pivot "
    "no-new-keyring no-subreaper "
)
_LIMITS = (
    "resources,r= blkio-weight= cpu-period= cpu-quota= cpu-burst= cpu-share= cpu-rt-period= "
    "cpu-rt-runtime= cpu-idle= cpuset-cpus= cpuset-mems= kernel-memory= kernel-memory-tcp= memory= "
    "memory-reservation= memory-swap= pids-limit= l3-cache-schema= mem-bw-schema="
)
_CONTAINER = "CONTAINER"


class Command:
    """One command.

    Attributes:
        place: Its module in this package, and the function there.
        options: As :func:`cellcrate_runtime.oci.command.arguments.parse` takes them;
            None where any are taken.
        words: Names of the words that it is called with; those in brackets may be missing.
        summary: What it does.
        makes_process: It puts a process into a container.
        takes_program: The words after the first belong to a program, with whatever options.
        failed: What it leaves with when it fails.
    """

    __slots__ = (
        "failed",
        "makes_process",
        "options",
        "place",
        "summary",
        "takes_program",
        "words",
    )

    def __init__(
        self,
        place: str,
        summary: str,
        words: str = _CONTAINER,
        options: str | None = "",
        *,
        makes_process: bool = False,
        takes_program: bool = False,
        failed: int = 1,
    ) -> None:
        self.place = place
        self.summary = summary
        self.words = words
        self.options = options
        self.makes_process = makes_process
        self.takes_program = takes_program
        self.failed = failed

    def accepts(self, number: int) -> bool:
        """Whether it can be called with so many words."""
        names = self.words.split()
        least = sum(not name.startswith("[") for name in names)
        return number >= least and (self.words.endswith("...]") or number <= len(names))


COMMANDS = {
    "checkpoint": Command("refused:checkpoint", "not supported", "[ANYTHING...]", None),
    "create": Command(
        "create:create",
        "make a container, its program waiting for start",
        options=_MAKING,
        makes_process=True,
    ),
    "delete": Command(
        "delete:delete",
        "remove what is left of a container",
        options="force,f regex",
    ),
    "events": Command(
        "events:events",
        "print what a container uses, as JSON, again and again",
        options="interval= stats",
    ),
    "exec": Command(
        "execute:execute",
        "run one more program in a container",
        "CONTAINER [COMMAND] [ARGUMENT...]",
        "console-socket= pidfd-socket= cwd= env,e= tty,t user,u= additional-gids,g= process,p= "
        "detach,d pid-file= process-label= apparmor= no-new-privs cap,c= preserve-fds= cgroup= "
        "ignore-paused no-subreaper",
        makes_process=True,
        takes_program=True,
        failed=255,
    ),
    "features": Command("features:features", "print what this runtime can do, as JSON", ""),
    "kill": Command(
        "kill:kill",
        "send a signal (SIGTERM) to a container",
        "CONTAINER [SIGNAL]",
        "all,a",
    ),
    "list": Command("listing:list_all", "list the containers", "", "format,f= quiet,q"),
    "pause": Command("freezing:pause", "stop all processes of a container for a while"),
    "ps": Command(
        "processes:ps",
        "list the processes of a container",
        "CONTAINER [OPTION...]",
        "format,f=",
        takes_program=True,
    ),
    "restore": Command("refused:restore", "not supported", "[ANYTHING...]", None),
    "resume": Command("freezing:resume", "let the processes of a paused container go on"),
    "run": Command(
        "run:run",
        "make a container and start it",
        options=_MAKING + "detach,d keep",
        makes_process=True,
    ),
    "spec": Command(
        "template:spec",
        "write a config.json to begin with",
        "",
        "bundle,b= rootless",
    ),
    "start": Command("start:start", "let the program of a created container begin"),
    "state": Command("state:state", "print the state of a container, as JSON"),
    "update": Command("update:update", "change the limits of a container", options=_LIMITS),
}
