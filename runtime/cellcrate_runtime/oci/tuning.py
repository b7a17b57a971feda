"""What few configurations ask for: scheduling, memory nodes, personality, security labels.

Imported when one does, before the fork.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from cellcrate_runtime.linux import labels, scheduling
from cellcrate_runtime.linux.cgroups.machine import cpus, parse_list
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.privileges import Tuning
from cellcrate_runtime.oci.spec import CPUAffinity, Linux, Process, Scheduler

__all__ = ["Outside", "apply", "of", "set_labels", "set_scheduler"]


def of(process: Process, linux: Linux) -> Tuning:
    """What a configuration asks for."""
    policy = linux.memory_policy
    return Tuning(
        apparmor_profile=process.apparmor_profile,
        selinux_label=process.selinux_label,
        personality=linux.personality.domain if linux.personality is not None else "",
        memory_mode=policy.mode if policy is not None else "",
        memory_flags=policy.flags if policy is not None else [],
        memory_nodes=sorted(parse_list(policy.nodes)) if policy and policy.nodes else [],
    )


def set_labels(tuning: Tuning) -> None:
    """Have this process's next program get its labels; while /proc is the host's."""
    if tuning.apparmor_profile:
        with _doing("cannot set process.apparmorProfile"):
            labels.set_apparmor_profile(tuning.apparmor_profile)
    if tuning.selinux_label:
        with _doing("cannot set process.selinuxLabel"):
            labels.set_selinux_label(tuning.selinux_label)


def apply(tuning: Tuning) -> None:
    """Set the rest, in the process itself."""
    if tuning.personality:
        with _doing("cannot set linux.personality"):
            scheduling.set_personality(tuning.personality)
    if tuning.memory_mode:
        with _doing("cannot set linux.memoryPolicy"):
            scheduling.set_memory_policy(
                tuning.memory_mode, tuning.memory_flags, tuning.memory_nodes
            )


def set_scheduler(pid: int, wanted: Scheduler) -> None:
    """Set the scheduling policy of a process, with its maker's rights."""
    try:
        scheduling.set_policy(
            pid,
            wanted.policy,
            wanted.flags,
            nice=wanted.nice,
            priority=wanted.priority,
            runtime=wanted.runtime or 0,
            deadline=wanted.deadline or 0,
            period=wanted.period,
        )
    except PermissionError as error:
        why = (
            ": process scheduler can't be used together with AllowedCPUs: the deadline of a "
            "process that may not run on all CPUs cannot be promised (sched_setattr(2)). Leave out "
            "linux.resources.cpu.cpus"
            if wanted.policy == "SCHED_DEADLINE" and _is_confined(pid)
            else ""
        )
        raise OCIError.from_os_error(error, f"cannot set process.scheduler{why}") from error
    except OSError as error:
        raise OCIError.from_os_error(error, "cannot set process.scheduler") from error


def _is_confined(pid: int) -> bool:
    """Whether a process may not run on every CPU."""
    return len(os.sched_getaffinity(pid)) < len(cpus())


class Outside(msgspec.Struct, frozen=True):
    """What one more process in a container has done to it before it is inside."""

    affinity: CPUAffinity | None
    tuning: Tuning | None

    def before_cgroup(self) -> None:
        """Choose the CPUs to come from."""
        if self.affinity is not None and self.affinity.initial:
            _run_on(self.affinity.initial, "initial")

    def after_cgroup(self) -> None:
        """Choose the CPUs to stay on, and the labels."""
        if self.affinity is not None and self.affinity.final:
            _run_on(self.affinity.final, "final")
        if self.tuning is not None:
            set_labels(self.tuning)


def _run_on(cpus: str, member: str) -> None:
    with _doing(f"cannot set process.execCPUAffinity.{member}"):
        os.sched_setaffinity(0, parse_list(cpus))


@contextmanager
def _doing(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OCIError.from_os_error(error, what) from error
