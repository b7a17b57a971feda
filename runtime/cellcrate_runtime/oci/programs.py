"""Find the program, and become it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence

from cellcrate_runtime.linux import recording
from cellcrate_runtime.oci.errors import StartError, kind_of

__all__ = ["become_program", "environment", "find", "search_path"]

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(lines: Sequence[str]) -> dict[str, str]:
    """The variables of ``NAME=value`` lines; of several with one name, the last."""
    return dict(line.split("=", 1) for line in lines)


def search_path(lines: Sequence[str]) -> str:
    """The folders to look for programs in, as ``NAME=value`` lines say."""
    return environment(lines).get("PATH", _DEFAULT_PATH)


def find(name: str, path: str) -> str:
    """Where a program is: the name itself if it has a slash, else the first match on the path.

    Raises:
        StartError: There is none, or none that this user may execute; in Docker's words.
    """
    if "/" in name:
        problem = _why_not_executable(name)
        if problem is None:
            return name
        raise _refusal(name, problem, f"stat {name}: " if problem == errno.ENOENT else "")
    denied = False
    for folder in path.split(":"):
        candidate = f"{folder or '.'}/{name}"
        problem = _why_not_executable(candidate)
        if problem is None:
            return candidate
        denied = denied or problem == errno.EACCES
    if denied:
        raise _refusal(name, errno.EACCES)
    raise StartError(f'exec: "{name}": executable file not found in $PATH', "not_found")


def _why_not_executable(path: str) -> int | None:
    """The error number that says why a file cannot be executed; None if it can."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return error.errno
    if stat.S_ISDIR(mode):
        return errno.EISDIR
    return None if _may_execute(path) else errno.EACCES


def _may_execute(path: str) -> bool:
    # The first asks with faccessat2(2), which a container's filter may be too old to know; the
    # second does not count the capabilities of a user.
    return os.access(path, os.X_OK, effective_ids=True) or os.access(path, os.X_OK)


def _refusal(name: str, problem: int, before: str = "") -> StartError:
    words = os.strerror(problem).lower()
    kind = (
        "permission" if problem in (errno.EACCES, errno.EISDIR) else kind_of(OSError(problem, ""))
    )
    return StartError(f'exec: "{name}": {before}{words}', kind, problem)


def become_program(arguments: Sequence[str], variables: Mapping[str, str]) -> None:
    """Execute a program; return only by raising.

    Raises:
        StartError: It is missing, or cannot be executed.
    """
    program = find(arguments[0], variables.get("PATH", _DEFAULT_PATH))
    if recording.active is not None:  # before: this process has no time after it
        recording.active.note("execve", target=program, arguments=list(arguments))
    try:
        os.execve(program, list(arguments), variables)
    except OSError as error:
        words = os.strerror(error.errno or 0).lower()
        kind = "permission" if error.errno == errno.ENOEXEC else kind_of(error)
        raise StartError(f"exec {program}: {words}", kind, error.errno or 0) from None
