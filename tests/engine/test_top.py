"""The processes of a container, through the host's ps."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from cellcrate_runtime.engine import processes
from cellcrate_runtime.engine.errors import BadRequestError, EngineError
from cellcrate_runtime.engine.top import ProcessTable, list_processes, parse_table

TABLE = """\
UID          PID    PPID CMD
root           1       0 /sbin/init splash quiet
root          70       1 sleep 1000
root         701       1 sh -c  true
"""


@pytest.fixture
def child() -> Iterator[int]:
    with subprocess.Popen(["sh", "-c", "sleep 1000 & wait"], start_new_session=True) as process:
        yield process.pid
        os.killpg(process.pid, signal.SIGKILL)


def top(pids: list[int], arguments: str = "") -> ProcessTable:
    return asyncio.run(list_processes(pids, arguments))


def test_rows_of_other_processes_are_left_out() -> None:
    table = parse_table(TABLE, {1, 701})
    assert table.titles == ["UID", "PID", "PPID", "CMD"]
    assert table.processes == [
        ["root", "1", "0", "/sbin/init splash quiet"],
        ["root", "701", "1", "sh -c  true"],
    ]


def test_a_table_without_process_ids_is_refused() -> None:
    with pytest.raises(BadRequestError, match="Couldn't find PID field"):
        parse_table("USER CMD\nroot init\n", {1})


@pytest.mark.parametrize("arguments", ["", "aux", "-o pid,ppid,comm -e", "-eo user,pid,args"])
def test_ps_is_asked_with_any_arguments(child: int, arguments: str) -> None:
    table = top([child], arguments)
    assert [row[table.titles.index("PID")] for row in table.processes] == [str(child)]
    assert len(table.processes[0]) == len(table.titles)


@pytest.mark.parametrize(
    "arguments", ["-o pid=X,comm", "-o user", "--no-such-option", "-o 'pid", "-o 'PID = A'"]
)
def test_arguments_that_cannot_work_are_refused(arguments: str) -> None:
    with pytest.raises(BadRequestError):
        top([1], arguments)


def test_arguments_are_no_shell(child: int) -> None:
    with pytest.raises(BadRequestError):
        top([child], "-ef; echo PID")


def test_without_ps_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EngineError, match="procps"):
        top([1])


def test_without_a_cgroup_or_a_namespace_a_container_is_its_process_and_its_children(
    child: int,
) -> None:
    deadline = time.monotonic() + 10
    commands: list[str] = []
    while commands != ["sh", "sleep"] and time.monotonic() < deadline:
        found = processes.of_container(child, "/cellcrate/of-no-container")
        assert found[0] == child
        commands = sorted(row[1] for row in top(found, "-o pid,comm -e").processes)
    assert commands == ["sh", "sleep"]


def test_a_process_that_ended_has_no_processes() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert processes.of_container(ended.pid, "/cellcrate/of-no-container") == []


@pytest.mark.root
def test_a_pid_namespace_tells_whose_processes_they_are() -> None:
    command = ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", "sleep 1000 & echo; wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as unshare:
        assert unshare.stdout is not None
        unshare.stdout.readline()
        first = processes.of_container(unshare.pid, "/cellcrate/of-no-container")[1]
        found = processes.of_container(first, "/cellcrate/of-no-container")
        unshare.kill()
    assert len(found) == 2
    assert first in found
