"""A start of which a trace is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cellcrate_runtime.engine import root_file_system
from cellcrate_runtime.engine.complaints import complain_of_defect
from cellcrate_runtime.engine.protocol import Launch
from cellcrate_runtime.engine.shim.ready import group_path
from cellcrate_runtime.engine.tracing.describing import describe
from cellcrate_runtime.engine.tracing.document import Trace, write
from cellcrate_runtime.linux import recording

if TYPE_CHECKING:
    from cellcrate_runtime.engine.shim.starting import Container

__all__ = ["traced"]

_SHIM = "shim"
_FROM_THE_BEGINNING = (
    "Nothing was used that had been made in advance, so that all of it could be seen: without a "
    "trace, the engine has a first process and a control group ready, and a start is shorter."
)
_ROOTLESS = (
    "The user namespace of this user was entered when the engine's launcher started, before this."
)
_STRACE = "The runtime ran under strace, which makes it several times slower: compare the order."


def traced(request: Launch, start: Callable[[], Container]) -> Container:
    """Start a container, and write down what was done for it, also where that fails."""
    if request.runtime:  # imported now, so that the import is no part of the start
        from cellcrate_runtime.engine.shim.foreign import watch  # noqa: F401
    recorder = recording.start(_SHIM)
    error = ""
    try:
        return start()
    except Exception as failure:
        error = str(failure)
        raise
    finally:
        recording.stop()
        _keep(request, recorder, error)


def _keep(request: Launch, recorder: recording.Recorder, error: str) -> None:
    """Write the trace; that this fails is no reason to end a container that runs."""
    try:
        write(request.trace_file, _trace(request, recorder, error))
    except Exception:
        complain_of_defect()


def _trace(request: Launch, recorder: recording.Recorder, error: str) -> Trace:
    records, lost = recorder.records()
    places = {request.rootfs.mount_point: "/"} if request.rootfs is not None else {}
    remarks = [_FROM_THE_BEGINNING]
    if root_file_system.in_user_namespace():
        remarks.append(_ROOTLESS)
    if request.runtime:
        remarks.append(_STRACE)
    if lost:
        remarks.append(f"{lost} more steps found no room.")
    return Trace(
        runtime=request.runtime[0].rpartition("/")[2] if request.runtime else "cellcrate",
        method="strace" if request.runtime else "notes",
        remarks=[*remarks, *recorder.remarks],
        error=error,
        steps=describe(
            records,
            begin=recorder.begin,
            cgroup=group_path(request.container_id),
            places=places,
        ),
    )
