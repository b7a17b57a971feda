"""Go through the motions of a start without changing anything, in processes that wait for one.

A forked process copies each page of memory when it first writes to it, and Python writes wherever
it counts a reference: hundreds of pages in a start, and more time than the kernel takes for the
container. What is done once while nobody waits has been copied by the time that somebody does. A
rehearsal that fails has done its part all the same.
"""

from __future__ import annotations

import contextlib
import os
from contextlib import ExitStack

from cellcrate_runtime.linux import capabilities
from cellcrate_runtime.linux.capabilities import CapabilitySets
from cellcrate_runtime.oci import masks, privileges, programs, rootfs, users
from cellcrate_runtime.oci.blueprint import plan_first
from cellcrate_runtime.oci.errors import OCIError, StartError
from cellcrate_runtime.oci.mount_options import parse
from cellcrate_runtime.oci.mounts import PreparedMount
from cellcrate_runtime.oci.plan import Plan, read_plan, write_plan
from cellcrate_runtime.oci.spec import Linux, Process, Spec
from cellcrate_runtime.oci.validate import validate

__all__ = ["rehearse_first_process", "rehearse_making"]

_MISSING = ["/proc/cellcrate/rehearsal", "/proc/cellcrate-rehearsal"]


def rehearse_making(example: Spec, userns_fd: int | None = None) -> None:
    """In a maker: plan a container and write the plan down."""
    with contextlib.suppress(OCIError, OSError), ExitStack() as held:
        validate(example)
        write_plan(plan_first(example, "/", None, False, userns_fd, held))


def rehearse_first_process(example: Spec) -> None:
    """In a process that waits for its plan: read one, and do what finds nothing to do."""
    read_plan(*write_plan(_plan_of(example)))
    with contextlib.suppress(OSError):
        _look_around()
    for name in ("cellcrate-rehearsal", "/"):
        with contextlib.suppress(StartError):
            programs.find(name, "/nonexistent")
    held = capabilities.permitted()
    capabilities.drop_bounding(-1)
    capabilities.apply(CapabilitySets(permitted=held, effective=held))


def _plan_of(example: Spec) -> Plan:
    process = example.process or Process(cwd="/")
    return Plan(
        spec=example,
        process=process,
        linux=example.linux or Linux(),
        new=frozenset(),
        has_identity=False,
        may_make_nodes=False,
        root=-1,
        mounts=[PreparedMount(mount, parse(mount.options)) for mount in example.mounts],
        privileges=privileges.prepare(process, Linux()),
        stdio=None,
        init=False,
    )


def _look_around() -> None:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        masks.hide(root, _MISSING)
        masks.make_read_only(root, _MISSING)
        rootfs.make_working_directory(root, "/")
        users.complete_environment(root, Process(cwd="/"))
    finally:
        os.close(root)
