"""A trace is what strace sees of the same start."""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from cellcrate_runtime.engine.tracing import system_calls
from cellcrate_runtime.engine.tracing.describing import describe

from .conftest import RunningEngine, eventually
from .traced import EMBEDDED, LIMITS, MORE, created, pid_of, trace_of

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed"),
]


def test_the_runtimes_notes_are_what_strace_sees_of_it(engine: RunningEngine) -> None:
    """The embedded runtime as a program makes the same calls in the same order: strace saw them."""
    options: dict[str, Any] = {**LIMITS, **MORE, "sysctls": {"net.ipv4.ip_forward": "1"}}
    found = []
    for name in (EMBEDDED, "cellcrate-oci"):
        container = created(engine, ["sleep", "1000"], name, **options)
        container.start()
        found.append(in_the_container(trace_of(engine, container), container.id))
    noted, seen = found
    assert len(noted) > 40
    assert noted == seen


def in_the_container(trace: dict[str, Any], container: str) -> list[tuple[str, str, str]]:
    """The steps inside, in order, without what the two ways of calling the runtime differ in."""
    said = [
        (step["Subject"], step["Target"], step["Detail"].replace(container[:12], "ID"))
        for step in trace["Steps"]
        if step["By"] != "shim"
    ]
    # The mount namespace is the first that both make inside; files of the host come by the shim's
    # way for programs, and the v2 tree beside v1 is hidden from them.
    begin = said.index(("namespaces", "mount", "new"))
    return [
        (subject, target, detail.replace(", ids translated", "").replace(": ids translated", ""))
        for subject, target, detail in said[begin:]
        if subject != "control group" and target != "/sys/fs/cgroup/unified"
        if target not in ("uid_map", "gid_map", "RLIMIT_NOFILE")  # done outside, at the same time
    ]


def test_strace_sees_the_same_start(own_engine: RunningEngine, tmp_path: Path) -> None:
    """A start is noted by those who carry it out, while strace watches them do it."""
    engine = own_engine
    engine.run(["true"]).wait()  # there is a launcher
    output = tmp_path / "strace"
    with watched(launcher_of(engine), output):
        engine.run(["true"]).wait()  # takes the process that was ready before strace came
        container = created(engine, ["sleep", "1000"], EMBEDDED, **LIMITS, **MORE)
        container.start()
        noted = trace_of(engine, container)
        first = pid_of(container)
        makers = {str(first), str(parent(first))}
    lines = [line for line in output.read_text().splitlines() if line.split()[0] in makers]
    root = engine.paths.containers / container.id / "rootfs"
    seen = describe(
        system_calls.records("\n".join(lines), by="", offset=0, places={}),
        begin=0,
        cgroup=f"/cellcrate/{container.id}",
        places={str(root): "/"},
    )
    said = [(step.subject, step.target, step.detail) for step in seen]
    # Before it had a request, the process rehearsed.
    pairs = list(itertools.pairwise(said))
    begin = len(pairs) - 1 - pairs[::-1].index((said_of(noted)[0], said_of(noted)[1]))
    seen_calls = [step for step in said[begin:] if not is_beside_the_start(*step)]
    assert len(seen_calls) > 60
    assert collections.Counter(seen_calls) == collections.Counter(said_of(noted))


def is_beside_the_start(_subject: str, target: str, detail: str) -> bool:
    """Whether a step is how a maker makes files as another user, or watches the container later.

    For the former, the rights to files are given up for a moment and taken again (setfsuid(2)).
    """
    is_makers = target == "capabilities" and re.search(r"\b(all|SYS_ADMIN)\b", detail) is not None
    return is_makers or target == "memory/cgroup.event_control"


def test_a_strace_that_may_not_watch(
    make_engine: Callable[[], RunningEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as where ptrace(2) is forbidden: it ends, and the runtime was not executed."""
    if not shutil.which("runc"):
        pytest.skip("runc is not installed")
    (tmp_path / "strace").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "strace").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    engine = make_engine()
    try:
        container = created(engine, ["true"], "runc")
        with pytest.raises(docker.errors.APIError, match="strace saw nothing of it"):
            container.start()
    finally:
        engine.close()


def said_of(trace: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(step["Subject"], step["Target"], step["Detail"]) for step in trace["Steps"]]


def launcher_of(engine: RunningEngine) -> int:
    children = Path(f"/proc/{engine.pid}/task/{engine.pid}/children").read_text().split()
    launchers = [c for c in children if b"launcher" in Path(f"/proc/{c}/cmdline").read_bytes()]
    assert len(launchers) == 1
    return int(launchers[0])


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@contextlib.contextmanager
def watched(pid: int, output: Path) -> Iterator[None]:
    """Have strace watch a process and its children to come."""
    names = ",".join(system_calls.NAMES)
    arguments = ["-f", "-ttt", "-T", "-y", "-q", "-s", "512", "-e", "signal=none"]
    strace = subprocess.Popen(
        ["strace", *arguments, "-e", f"trace={names}", "-o", str(output), "-p", str(pid)]
    )
    try:
        status = Path(f"/proc/{pid}/status")
        eventually(lambda: f"TracerPid:\t{strace.pid}\n" in status.read_text())
        yield
    finally:
        strace.terminate()
        strace.wait()
