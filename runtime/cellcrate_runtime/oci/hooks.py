"""Programs that are run at certain moments of a container's life.

============================  ===========  ========================================================
createRuntime (and prestart)  runtime's    when the walls are built and not entered yet
createContainer               container's  after those; its path is the host's
startContainer                container's  just before the program
poststart                     runtime's    when the program runs
poststop                      runtime's    when the container is deleted; failures are warnings
============================  ===========  ========================================================

The middle column says in whose namespaces. Source: OCI runtime-spec 1.3, config.md, "POSIX-platform
Hooks", and runtime.md, "Lifecycle". What is not said there is as runc has it: a hook gets the
environment that it names and no other (but startContainer without one, the program's), and starts
in the bundle (createContainer in the root, startContainer in the container's ``/``).
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn

from cellcrate_runtime.linux import processes
from cellcrate_runtime.oci import programs
from cellcrate_runtime.oci.errors import OCIError, describe
from cellcrate_runtime.oci.spec import Hook, Hooks
from cellcrate_runtime.oci.state import State, encode

__all__ = ["run", "run_before_program", "run_each"]

_NOT_EXECUTED = 127  # as a shell has it
_MOST_OUTPUT = 2048  # bytes of it in a message


def run_before_program(hooks: Hooks | None) -> bool:
    """Whether there are any that :func:`cellcrate_runtime.oci.container.create` has to see to."""
    return hooks is not None and any(
        (hooks.prestart, hooks.create_runtime, hooks.create_container, hooks.start_container)
    )


def run(
    kind: str,
    hooks: Iterable[Hook],
    state: State,
    *,
    folder: str | int | None = None,
    environment: list[str] | None = None,
    confine: Callable[[], None] = lambda: None,
) -> None:
    """Run hooks one after the other, in this process's namespaces.

    The caller must be single-threaded.

    Args:
        kind: The member of the configuration that they are from.
        state: Given to each on its standard input.
        folder: Where they start, a path or an open folder; the bundle if None.
        environment: That of those which name none; the runtime's if None.
        confine: Called in each hook's process, just before its program.

    Raises:
        OCIError: One failed, or took longer than its timeout; those after it were not run.
    """
    document = encode(state)
    for place, hook in enumerate(hooks):
        lines = environment if hook.env is None else hook.env
        try:
            _run(hook, document, state.bundle if folder is None else folder, lines, confine)
        except OCIError as error:
            raise _told_where(error, kind, place) from error


def run_each(kind: str, hooks: Iterable[Hook], state: State) -> list[OCIError]:
    """Run all hooks whatever comes of them, as poststop asks: what is to be warned of."""
    document = encode(state)
    failures = []
    for place, hook in enumerate(hooks):
        try:
            _run(hook, document, state.bundle, hook.env)
        except OCIError as error:
            failures.append(_told_where(error, kind, place))
    return failures


def _told_where(error: OCIError, kind: str, place: int) -> OCIError:
    """The same failure, with the hook's place in the configuration, in runc's words."""
    message = f"error running {kind} hook #{place}: {error.message}"
    return OCIError(message, error.kind, error.errno)


def _run(
    hook: Hook,
    document: bytes,
    folder: str | int,
    environment: list[str] | None,
    confine: Callable[[], None] = lambda: None,
) -> None:
    # Files in memory and not pipes: nobody waits for a reader, also where a hook leaves a daemon.
    stdin, output = os.memfd_create("state"), os.memfd_create("output")
    try:
        os.pwrite(stdin, document, 0)
        pid, pidfd = processes.clone(0)
        if not pid:
            _become(hook, folder, environment, confine, (stdin, output))
        try:
            status = _wait(pidfd, hook)
        finally:
            os.close(pidfd)
        if status:
            said = os.pread(output, _MOST_OUTPUT, 0).decode(errors="replace").strip()
            reason = f": {said}" if said else ""
            raise OCIError(f"the hook {hook.path} {_ending(status)}{reason}")
    except OSError as error:
        raise OCIError.from_os_error(error, f"cannot run the hook {hook.path}") from error
    finally:
        os.close(stdin)
        os.close(output)


def _become(
    hook: Hook,
    folder: str | int,
    environment: list[str] | None,
    confine: Callable[[], None],
    streams: tuple[int, int],
) -> NoReturn:
    try:
        processes.die_with_parent()
        os.setsid()
        stdin, output = streams
        for standard, descriptor in enumerate((stdin, output, output)):
            os.dup2(descriptor, standard)
        os.chdir(folder)
        processes.close_all_but(2)
        processes.reset_signals()
        processes.block_signals(processes.NO_SIGNALS)
        variables = _variables(environment)
        confine()
        os.execve(hook.path, hook.args or [hook.path], variables)
    except OSError as error:
        if error.filename == hook.path:
            error.filename = None  # the message has it
        os.write(2, describe(error).encode())
    finally:
        os._exit(_NOT_EXECUTED)


def _variables(environment: list[str] | None) -> Mapping[str, str]:
    return os.environ if environment is None else programs.environment(environment)


def _wait(pidfd: int, hook: Hook) -> int:
    """Its status as :func:`os.waitstatus_to_exitcode` has it.

    Raises:
        OCIError: It was killed, because its time was over.
    """
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    ended = poll.poll(None if hook.timeout is None else hook.timeout * 1000)
    if not ended:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    if not ended:
        seconds = "1 second" if hook.timeout == 1 else f"{hook.timeout} seconds"
        raise OCIError(f"the hook {hook.path} did not end within its timeout of {seconds}")
    if result is None or result.si_code == os.CLD_EXITED:
        return result.si_status if result else 0
    return -result.si_status


def _ending(status: int) -> str:
    if status < 0:
        words = (signal.strsignal(-status) or "unknown").lower()
        return f"was killed by signal {-status}: {words}"
    if status == _NOT_EXECUTED:
        return "could not be run (exit code 127)"
    return f"failed with exit code {status}"
