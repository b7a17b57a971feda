"""What few configurations ask for: scheduling, memory nodes, personality."""

from __future__ import annotations

import os
import signal

import pytest

from cellcrate_runtime.oci.container import create, make_spare
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.spec import (
    CPUAffinity,
    Linux,
    MemoryPolicy,
    Personality,
    Scheduler,
    Spec,
)
from oci.identities import Identity, Outcome, run_to_end
from oci.test_execute import execute_to_end

# proc_pid_stat(5), counted from 0: the nice value, the real-time priority, the policy.
NICE, PRIORITY, POLICY = 18, 39, 40


def stat_of(identity: Identity, scheduler: Scheduler, *, init: bool = False) -> list[str]:
    outcome = identity.run(identity.spec("cat", "/proc/self/stat", scheduler=scheduler), init=init)
    assert outcome.status == 0, outcome.stderr
    return outcome.stdout.split()


def linux_of(spec: Spec) -> Linux:
    assert spec.linux is not None
    return spec.linux


@pytest.mark.parametrize("init", [False, True])
def test_a_policy_and_a_nice_value(identity: Identity, init: bool) -> None:
    stat = stat_of(identity, Scheduler(policy="SCHED_BATCH", nice=7), init=init)
    assert (stat[NICE], stat[POLICY]) == ("7", "3")


def test_a_real_time_priority(mapped: Identity) -> None:
    stat = stat_of(mapped, Scheduler(policy="SCHED_FIFO", priority=5))
    assert (stat[PRIORITY], stat[POLICY]) == ("5", "1")


def test_what_the_kernel_refuses_is_named(identity: Identity) -> None:
    spec = identity.spec("true", scheduler=Scheduler(policy="SCHED_ISO"))
    with pytest.raises(OCIError, match=r"cannot set process\.scheduler: invalid argument"):
        identity.run(spec)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the words are x86's")
def test_a_personality(identity: Identity) -> None:
    spec = identity.spec("uname", "-m")
    linux_of(spec).personality = Personality(domain="LINUX32")
    assert identity.run(spec).stdout == "i686\n"


@pytest.mark.skipif(not os.path.exists("/proc/self/numa_maps"), reason="the kernel has one node")
def test_a_memory_policy(identity: Identity) -> None:
    spec = identity.spec("head", "-n", "1", "/proc/self/numa_maps")
    linux_of(spec).memory_policy = MemoryPolicy(
        mode="MPOL_BIND", nodes="0", flags=["MPOL_F_STATIC_NODES"]
    )
    assert "bind=static:0" in identity.run(spec).stdout
    linux_of(spec).memory_policy = MemoryPolicy(mode="MPOL_INTERLEAVE", nodes="900")
    with pytest.raises(OCIError, match=r"cannot set linux\.memoryPolicy: invalid argument"):
        identity.run(spec)


def test_a_spare_is_given_up_for_them(mapped: Identity) -> None:
    spec = mapped.spec("cat", "/proc/self/personality")
    linux_of(spec).personality = Personality(domain="LINUX32")

    def work(root: str) -> Outcome:
        spare = make_spare(linux_of(spec).uid_mappings, mapped.spec("true"))
        outcome = run_to_end(spec, root, spare=spare)
        assert spare.process.pidfd == -1
        return outcome

    assert mapped.in_shim(work).stdout == "00000008\n"


def exec_affinity(identity: Identity, affinity: CPUAffinity) -> str:
    """The CPUs that one more process in a container may run on."""
    process = identity.spec(
        "grep", "Cpus_allowed_list", "/proc/self/status", exec_cpu_affinity=affinity
    ).process
    assert process is not None

    def work(root: str) -> Outcome:
        spec = identity.spec("sleep", "60")
        first = create(spec, rootfs=root, stdio=None, cgroup=None)
        first.start()
        try:
            return execute_to_end(first, spec, process)
        finally:
            signal.pidfd_send_signal(first.pidfd, signal.SIGKILL)
            os.waitpid(first.pid, 0)

    return identity.in_shim(work).stdout.split()[-1]


def test_the_cpus_of_one_more_process(identity: Identity) -> None:
    last = max(os.sched_getaffinity(0))
    assert exec_affinity(identity, CPUAffinity(initial=str(last))) == str(last)
    assert exec_affinity(identity, CPUAffinity(initial="0", final=str(last))) == str(last)
    with pytest.raises(OCIError, match=r"cannot set process\.execCPUAffinity\.final: invalid"):
        exec_affinity(identity, CPUAffinity(final="4000"))
