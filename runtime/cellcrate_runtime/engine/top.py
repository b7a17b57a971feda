"""The processes of a container, in the columns of ps(1): ``docker top``.

The host's ``ps`` is asked, since it knows all of ps' options, and of what it prints only the
container's processes are kept.

Source: Docker Engine API reference, "List processes running inside a container"; ps(1).
"""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
from collections.abc import Collection

import msgspec

from cellcrate_runtime.engine.errors import BadRequestError, EngineError

__all__ = ["DEFAULT_ARGUMENTS", "ProcessTable", "list_processes", "parse_table"]

DEFAULT_ARGUMENTS = "-ef"

_TIMEOUT = 10  # seconds; ps takes milliseconds, unless /proc hangs

# `-o pid=NAME` calls the column of process ids something else, and we could not find it again.
_RENAMED_PID = re.compile(r"\bpid\s*=", re.IGNORECASE)


class ProcessTable(msgspec.Struct, rename="pascal"):
    """What ``ps`` says of some processes: a row each."""

    titles: list[str]
    processes: list[list[str]]


async def list_processes(pids: Collection[int], arguments: str = "") -> ProcessTable:
    """Return what ``ps`` says of these processes.

    Args:
        pids: The processes, as the host counts them.
        arguments: Options of ``ps``, as in a shell: ``aux``, ``-o pid,comm``.

    Raises:
        BadRequestError: ps refuses the arguments, or prints no column PID with them.
        EngineError: This computer has no ps.
    """
    words = _split(arguments or DEFAULT_ARGUMENTS)
    program = shutil.which("ps")
    if program is None:
        raise EngineError(
            "this computer has no ps, which lists the processes for top. Install it "
            "(Debian, Ubuntu: apt install procps), or run ps in the container with exec"
        )
    return parse_table(await _run(program, *words), pids)


def _split(arguments: str) -> list[str]:
    if _RENAMED_PID.search(arguments):
        raise BadRequestError(
            f"ps arguments {arguments!r} give the column PID another name; "
            "top needs it to find the container's processes"
        )
    try:
        return shlex.split(arguments)
    except ValueError as error:
        raise BadRequestError(f"ps arguments {arguments!r}: {error}") from None


async def _run(program: str, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # Whatever the columns, no line is cut at the width of a terminal.
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "COLUMNS": "100000"},
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), _TIMEOUT)
    except (TimeoutError, asyncio.CancelledError):
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        said = errors.decode(errors="replace").strip() or f"ended with {process.returncode}"
        raise BadRequestError(f"ps {shlex.join(arguments)}: {said}")
    return output.decode(errors="replace")


def parse_table(output: str, pids: Collection[int]) -> ProcessTable:
    """Return the rows of ``ps`` output that are about some processes.

    Raises:
        BadRequestError: There is no column PID.
    """
    first, _, rest = output.partition("\n")
    titles = first.split()
    if "PID" not in titles:
        raise BadRequestError("Couldn't find PID field in ps output: add pid to its columns")
    position = titles.index("PID")
    wanted = {str(pid) for pid in pids}
    rows = []
    for line in rest.splitlines():
        # The last column, the command, may have spaces in it.
        row = line.split(maxsplit=len(titles) - 1)
        if len(row) > position and row[position] in wanted:
            rows.append(row)
    return ProcessTable(titles, rows)
