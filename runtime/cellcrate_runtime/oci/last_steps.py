"""What a first process and one that joins a running container end with: from rights to program."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from cellcrate_runtime.linux import process_title, processes
from cellcrate_runtime.oci import limits, privileges, programs, reaper
from cellcrate_runtime.oci.channel import START, ProcessEnd, accept_starter
from cellcrate_runtime.oci.errors import StartError
from cellcrate_runtime.oci.launch import IN_PROCESS, Launch
from cellcrate_runtime.oci.privileges import Privileges
from cellcrate_runtime.oci.spec import Process

__all__ = ["finish"]

_DEFAULT_UMASK = 0o022
_FAILED = 127
_FROM_SIGNAL = 128
_ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def finish(
    process: Process,
    rights: Privileges,
    channel: ProcessEnd,
    console: int | None,
    *,
    init: bool = False,
    before_start: Callable[[], None] | None = None,
    launch: Launch = IN_PROCESS,
) -> None:
    """Give up what is not the program's, say that all is ready, wait, and execute it.

    Args:
        process: The program.
        rights: What it may do.
        channel: To the maker.
        console: The master of its terminal, handed over to the maker.
        init: Whether this process stays, with the program as its child.
        before_start: Called when all waiting is over.
        launch: Who may start it, and what it keeps of its maker's.
    """
    channel.doing = "cannot set process.ioPriority"
    if process.io_priority is not None:
        processes.set_io_priority(process.io_priority.class_, process.io_priority.priority)
    umask = process.user.umask
    os.umask(_DEFAULT_UMASK if umask is None else umask)
    channel.doing = "cannot give up rights"
    privileges.drop(rights, process.cwd, channel)
    if not launch.outlives_maker:
        # After the change of user, which undoes it.
        processes.die_with_parent()
    if launch.listener is not None and process.args:
        # Nobody waits for the start, so what is sure to fail then is said now.
        programs.find(process.args[0], programs.search_path(process.env))
    channel.say_ready(console)
    # From here on there is no descriptor that leads to the host (but the channel, a socket).
    kept = channel.fd if launch.listener is None else launch.listener
    processes.close_all_but(kept, 3 + launch.preserved)
    if launch.listener is not None:
        channel.fd = _await_starter(launch.listener)
    channel.wait_for(START)
    if not process.args:
        raise StartError("the configuration has no process: there is no program to start")
    if before_start is not None:
        channel.doing = "cannot run the hooks"
        before_start()
    if process.user.uid:
        channel.doing = "cannot set process.rlimits"
        limits.set_own_rlimits(process)
    channel.doing = "cannot load the seccomp filter"
    privileges.load_late_filter(rights)
    channel.doing = "cannot start"
    if init:
        _start_under_reaper(process, channel)
    else:
        _become(process)


def _await_starter(listener: int) -> int:
    """Wait for whoever starts the program; the signals that would end it do so meanwhile, too."""

    def leave(number: int, _frame: object) -> None:
        os._exit(_FROM_SIGNAL + number)

    for number in _ENDING:
        # Asked for by name, since the first process of a PID namespace is spared the default.
        signal.signal(number, leave)
    processes.block_signals(processes.ALL_SIGNALS & ~sum(1 << n - 1 for n in _ENDING))
    starter = accept_starter(listener)
    processes.block_signals(processes.ALL_SIGNALS)
    return starter


def _become(process: Process) -> None:
    processes.block_signals(processes.NO_SIGNALS)
    programs.become_program(process.args, programs.environment(process.env))


def _start_under_reaper(process: Process, channel: ProcessEnd) -> None:
    area = process_title.title_area()
    program = os.fork()
    if program:
        os.close(channel.fd)
        process_title.set_title(area, " ".join(["init --", *process.args]))
        os._exit(reaper.accompany(program))
    try:
        reaper.lead_foreground(terminal=process.terminal)
        _become(process)
    except BaseException as error:
        channel.say_failed(error)
        os._exit(_FAILED)
