"""Refuse a program that cannot be run as its configuration says, before anything is created.

Source: OCI runtime-spec 1.3, config.md, "Process".
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NoReturn

from cellcrate_runtime.linux import capabilities, scheduling
from cellcrate_runtime.oci.limits import RLIMITS
from cellcrate_runtime.oci.refusal import (
    HIGHEST_ID,
    check_environment,
    check_list,
    check_text,
    refuse,
)
from cellcrate_runtime.oci.spec import Capabilities, CPUAffinity, Process, Scheduler

__all__ = ["process_warnings", "validate_process"]

_IO_CLASSES = frozenset({"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"})
_BIGGEST_SIZE = (1 << 16) - 1  # struct winsize
_SETS = ("effective", "bounding", "inheritable", "permitted", "ambient")


def validate_process(process: Process) -> None:
    """Check a program and its rights.

    Raises:
        OCIError: of kind ``invalid``.
    """
    if not process.args or not process.args[0]:
        refuse("process.args", "there is no program to run")
    check_text("process.args", process.args)
    check_environment("process.env", process.env)
    if not process.cwd.startswith("/"):
        refuse("process.cwd", f"{process.cwd!r} is not an absolute path")
    check_text("process.cwd", [process.cwd])
    _check_user(process)
    _check_rlimits(process)
    _check_labels(process)
    _check_settings(process)
    if process.scheduler is not None:
        _check_scheduler(process.scheduler)
    if process.exec_cpu_affinity is not None:
        _check_affinity(process.exec_cpu_affinity)


def process_warnings(process: Process) -> list[str]:
    """What is asked for and will not be granted, which is not an error: capabilities."""
    return list(_ungranted(process.capabilities)) if process.capabilities is not None else []


def _check_user(process: Process) -> None:
    user = process.user
    for member, id_ in (
        ("uid", user.uid),
        ("gid", user.gid),
        *(("additionalGids", gid) for gid in user.additional_gids),
    ):
        if not 0 <= id_ <= HIGHEST_ID:
            refuse(f"process.user.{member}", f"{id_} is not an id (0 to {HIGHEST_ID})")
    if user.umask is not None and not 0 <= user.umask <= 0o777:
        refuse("process.user.umask", f"{user.umask} is not between 0 and 511 (octal 777)")


def _check_rlimits(process: Process) -> None:
    seen = set()
    for limit in process.rlimits:
        if limit.type not in RLIMITS:
            known = ", ".join(sorted(RLIMITS))
            refuse("process.rlimits", f"{limit.type!r} is none of {known}")
        if limit.type in seen:
            refuse("process.rlimits", f"{limit.type} is given twice")
        seen.add(limit.type)
        unlimited = limit.hard == -1
        if not unlimited and (limit.soft == -1 or limit.soft > limit.hard):
            refuse("process.rlimits", f"the soft {limit.type} is above the hard one")
        if min(limit.soft, limit.hard) < -1 or max(limit.soft, limit.hard) >= 1 << 64:
            refuse("process.rlimits", f"{limit.type} has a limit that cannot be")


def _ungranted(sets: Capabilities) -> Iterator[str]:
    for name in _SETS:
        for capability in getattr(sets, name):
            if capability not in capabilities.NAMES:
                yield (
                    f"process.capabilities.{name}: {capability!r} is no capability, and left out; "
                    "see capabilities(7)"
                )
    if beyond := set(sets.effective) - set(sets.permitted):
        names = ", ".join(sorted(beyond))
        yield f"process.capabilities.effective: {names} is not among the permitted ones"
    for capability in sets.ambient:
        lacking = [n for n in ("permitted", "inheritable") if capability not in getattr(sets, n)]
        if lacking:
            names = " or ".join(lacking)
            yield f"can't raise ambient capability {capability}: it is not among the {names} ones"


def _check_scheduler(scheduler: Scheduler) -> None:
    member = "process.scheduler"
    if scheduler.policy not in scheduling.POLICIES:
        refuse(f"{member}.policy", f"{scheduler.policy!r} is no policy of sched(7)")
    for flag in scheduler.flags:
        if flag not in scheduling.FLAGS:
            refuse(f"{member}.flags", f"{flag!r} is no flag of sched_setattr(2)")
    if not -20 <= scheduler.nice <= 19:
        refuse(f"{member}.nice", f"{scheduler.nice} is not between -20 and 19")
    lowest, highest = (1, 99) if scheduler.policy in ("SCHED_FIFO", "SCHED_RR") else (0, 0)
    if not lowest <= scheduler.priority <= highest:
        between = f"between {lowest} and {highest}" if highest else "0"
        refuse(f"{member}.priority", f"must be {between} with {scheduler.policy}")
    times = (scheduler.runtime, scheduler.deadline, scheduler.period)
    if scheduler.policy != "SCHED_DEADLINE" and any(times):
        refuse(member, "runtime, deadline and period are for SCHED_DEADLINE alone")
    if scheduler.policy == "SCHED_DEADLINE":
        _check_times(scheduler)


def _check_times(scheduler: Scheduler) -> None:
    """Refuse times that the kernel does not take, which says no more than that one is wrong.

    Source: sched(7), "SCHED_DEADLINE".
    """
    shortest, longest = 1024, (1 << 63) - 1
    times = {"runtime": scheduler.runtime, "deadline": scheduler.deadline}
    if scheduler.period:  # or else as long as the deadline
        times["period"] = scheduler.period
    for name, value in times.items():
        if value is None:
            _refuse_time(f"requires `{name}`")
        if value <= 0:
            _refuse_time(f"{name} must be greater than 0")
        if not shortest <= value <= longest:
            _refuse_time(f"{name} ({value}) must be between {shortest} and {longest} nanoseconds")
    for (shorter, less), (longer, more) in itertools.pairwise(times.items()):
        if (less or 0) > (more or 0):
            _refuse_time(f"{shorter} ({less}) must be <= {longer} ({more})")


def _refuse_time(why: str) -> NoReturn:
    refuse("process.scheduler", f"sched_setattr: `SCHED_DEADLINE` {why}")


def _check_affinity(affinity: CPUAffinity) -> None:
    check_list("process.execCPUAffinity.initial", affinity.initial)
    check_list("process.execCPUAffinity.final", affinity.final)


def _check_labels(process: Process) -> None:
    if not (process.apparmor_profile or process.selinux_label):
        return
    from cellcrate_runtime.linux import labels

    check_text("process.apparmorProfile", [process.apparmor_profile])
    check_text("process.selinuxLabel", [process.selinux_label])
    if process.apparmor_profile and not labels.has_apparmor():
        refuse("process.apparmorProfile", "AppArmor is not active on this machine; leave it out")
    if process.selinux_label and not labels.has_selinux():
        refuse("process.selinuxLabel", "SELinux is not active on this machine; leave it out")


def _check_settings(process: Process) -> None:
    score = process.oom_score_adj
    if score is not None and not -1000 <= score <= 1000:
        refuse("process.oomScoreAdj", f"{score} is not between -1000 and 1000")
    if (priority := process.io_priority) is not None:
        if priority.class_ not in _IO_CLASSES:
            refuse("process.ioPriority.class", f"{priority.class_!r} is no class of ioprio_set(2)")
        if not 0 <= priority.priority <= 7:
            refuse("process.ioPriority.priority", f"{priority.priority} is not between 0 and 7")
    if process.terminal and (size := process.console_size) is not None:
        for value in (size.height, size.width):
            if not 0 <= value <= _BIGGEST_SIZE:
                refuse("process.consoleSize", f"{value} is not between 0 and {_BIGGEST_SIZE}")
