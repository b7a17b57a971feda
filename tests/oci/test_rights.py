"""What a program may do: user, capabilities, filter, limits; and what it starts with."""

from __future__ import annotations

import errno
import os
import resource
import signal

import pytest

from cellcrate_runtime.linux import capabilities
from cellcrate_runtime.linux.seccomp import Seccomp, default_profile
from cellcrate_runtime.linux.seccomp.profile import Syscall
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.spec import (
    Capabilities,
    Hook,
    Hooks,
    IOPriority,
    Process,
    RLimit,
    Spec,
    User,
)
from cellcrate_runtime.oci.state import State
from oci.identities import DEFAULT_CAPABILITIES, Identity


def process_of(spec: Spec) -> Process:
    assert spec.process is not None
    return spec.process


def status_of(identity: Identity, spec: Spec) -> dict[str, str]:
    """/proc/self/status of a program."""
    process_of(spec).args = ["cat", "/proc/self/status"]
    outcome = identity.run(spec)
    assert outcome.status == 0, outcome.stderr
    pairs = (line.partition(":") for line in outcome.stdout.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def test_root_has_the_given_capabilities_and_no_more(identity: Identity) -> None:
    status = status_of(identity, identity.spec("-"))
    mask = capabilities.mask(DEFAULT_CAPABILITIES)
    assert int(status["CapBnd"], 16) == mask
    assert int(status["CapEff"], 16) == mask
    assert int(status["CapPrm"], 16) == mask
    assert int(status["CapInh"], 16) == 0
    assert int(status["CapAmb"], 16) == 0


def test_without_capabilities_there_are_none(identity: Identity) -> None:
    spec = identity.spec("-", capabilities=None)
    status = status_of(identity, spec)
    assert [int(status[f"Cap{name}"], 16) for name in ("Bnd", "Eff", "Prm")] == [0, 0, 0]


def test_a_user_has_none_but_the_ambient_ones(identity: Identity) -> None:
    names = ["CAP_NET_BIND_SERVICE"]
    sets = Capabilities(
        bounding=names, permitted=names, effective=names, inheritable=names, ambient=names
    )
    spec = identity.spec("-", user=User(uid=1000, gid=1000), capabilities=sets)
    status = status_of(identity, spec)
    assert int(status["CapEff"], 16) == capabilities.mask(names)
    spec = identity.spec("-", user=User(uid=1000, gid=1000))
    assert int(status_of(identity, spec)["CapEff"], 16) == 0


def test_user_and_groups(identity: Identity) -> None:
    user = User(uid=1000, gid=50, additional_gids=[50, 7])
    outcome = identity.run(identity.spec("sh", "-c", "id -u; id -g; id -G", user=user))
    assert outcome.stdout.split() == ["1000", "50", "50", "7"]


def test_no_new_privileges(identity: Identity) -> None:
    assert status_of(identity, identity.spec("-"))["NoNewPrivs"] == "0"
    spec = identity.spec("-", no_new_privileges=True)
    assert status_of(identity, spec)["NoNewPrivs"] == "1"


@pytest.mark.parametrize("no_new_privileges", [False, True])
@pytest.mark.parametrize("uid", [0, 1000])
def test_the_filter_is_loaded(identity: Identity, no_new_privileges: bool, uid: int) -> None:
    spec = identity.spec("-", no_new_privileges=no_new_privileges, user=User(uid=uid, gid=uid))
    assert spec.linux is not None
    spec.linux.seccomp = default_profile(frozenset(DEFAULT_CAPABILITIES))
    status = status_of(identity, spec)
    assert status["Seccomp"] == "2"
    process_of(spec).args = ["unshare", "--user", "true"]
    outcome = identity.run(spec)
    assert outcome.status != 0
    assert "Operation not permitted" in outcome.stderr


@pytest.mark.parametrize("no_new_privileges", [False, True])
@pytest.mark.parametrize("uid", [0, 1000])
def test_a_filter_may_be_older_than_the_runtime(
    identity: Identity, no_new_privileges: bool, uid: int
) -> None:
    newer = ["openat2", "close_range", "clone3", "faccessat2", "pidfd_open", "mount_setattr"]
    spec = identity.spec("true", no_new_privileges=no_new_privileges, user=User(uid=uid, gid=uid))
    assert spec.linux is not None
    refused = Syscall(names=newer, action="SCMP_ACT_ERRNO", errno_ret=errno.EPERM)
    spec.linux.seccomp = Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=[refused])
    outcome = identity.run(spec)
    assert outcome.status == 0, outcome.stderr


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_hooks_inside_are_under_the_filter(identity: Identity, no_new_privileges: bool) -> None:
    spec = identity.spec("true", no_new_privileges=no_new_privileges)
    assert spec.linux is not None
    spec.linux.seccomp = Seccomp(
        default_action="SCMP_ACT_ALLOW",
        syscalls=[Syscall(names=["mkdir", "mkdirat"], action="SCMP_ACT_KILL_PROCESS")],
    )
    making = Hook(path="/bin/mkdir", args=["mkdir", "/tmp/made"])
    spec.hooks = Hooks(start_container=[making])
    state = State(oci_version="1.2.0", id="box", status="creating", bundle="/var/tmp")
    with pytest.raises(OCIError, match="was killed by signal 31: bad system call"):
        identity.run(spec, state=state)


def test_a_filter_that_kills(identity: Identity) -> None:
    spec = identity.spec("hostname", "new")
    assert spec.linux is not None
    spec.linux.seccomp = Seccomp(
        default_action="SCMP_ACT_ALLOW",
        syscalls=[Syscall(names=["sethostname"], action="SCMP_ACT_KILL_PROCESS")],
    )
    # A first process is shielded from most signals, but not from this.
    assert identity.run(spec).status == -signal.SIGSYS


def test_rlimits(identity: Identity) -> None:
    spec = identity.spec("sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c")
    process_of(spec).rlimits = [
        RLimit(type="RLIMIT_NOFILE", soft=11, hard=12),
        RLimit(type="RLIMIT_CORE", soft=0, hard=0),
    ]
    assert identity.run(spec).stdout.split() == ["11", "12", "0"]


def test_an_rlimit_that_cannot_be_raised_is_said(identity: Identity) -> None:
    highest = 1 << 18
    resource.prlimit(0, resource.RLIMIT_NOFILE)  # what is inherited

    def lower_then_run(root: str) -> None:
        from oci.identities import run_to_end

        resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000))
        spec = identity.spec("true")
        process_of(spec).rlimits = [RLimit(type="RLIMIT_NOFILE", soft=highest, hard=highest)]
        run_to_end(spec, root)

    if _may_raise_limits() and identity.name != "rootless":
        identity.in_shim(lower_then_run)
        return
    with pytest.raises(OCIError, match="the highest that may be set here is 1000") as caught:
        identity.in_shim(lower_then_run)
    assert caught.value.kind == "permission"


def _may_raise_limits() -> bool:
    return bool(capabilities.permitted() & capabilities.mask(["CAP_SYS_RESOURCE"]))


def test_environment_and_working_directory(identity: Identity) -> None:
    spec = identity.spec("env", env=["PATH=/bin", "A=1", "A=2", "EMPTY="], cwd="/data/new/folder")
    outcome = identity.run(spec)
    assert sorted(outcome.stdout.split()) == ["A=2", "EMPTY=", "HOME=/root", "PATH=/bin"]
    process_of(spec).args = ["pwd"]
    assert identity.run(spec).stdout == "/data/new/folder\n"


def test_home_is_the_users(identity: Identity) -> None:
    spec = identity.spec("sh", "-c", "echo $HOME", user=User(uid=1000, gid=1000))
    assert identity.run(spec).stdout == "/home/alice\n"
    process_of(spec).env.append("HOME=/elsewhere")
    assert identity.run(spec).stdout == "/elsewhere\n"


def test_umask(identity: Identity) -> None:
    assert identity.sh("umask").stdout == "0022\n"
    spec = identity.spec("sh", "-c", "umask", user=User(umask=0o077))
    assert identity.run(spec).stdout == "0077\n"


def test_only_the_standard_descriptors_are_open(identity: Identity) -> None:
    def leak_and_run(root: str) -> str:
        from oci.identities import run_to_end

        reader, _ = os.pipe()
        os.set_inheritable(reader, True)
        os.set_inheritable(os.open("/", os.O_RDONLY), True)
        return run_to_end(identity.spec("ls", "/proc/self/fd"), root).stdout

    # ls itself opens one to read the folder.
    assert identity.in_shim(leak_and_run).split() == ["0", "1", "2", "3"]


def test_signals_mean_what_they_mean_by_default(identity: Identity) -> None:
    status = status_of(identity, identity.spec("-"))
    assert [int(status[f"Sig{name}"], 16) for name in ("Blk", "Ign", "Cgt")] == [0, 0, 0]


def test_oom_score(identity: Identity) -> None:
    spec = identity.spec("cat", "/proc/self/oom_score_adj", oom_score_adj=345)
    assert identity.run(spec).stdout == "345\n"


def test_a_lower_oom_score_than_allowed_leaves_the_score(identity: Identity) -> None:
    spec = identity.spec("cat", "/proc/self/oom_score_adj", oom_score_adj=-999)
    lowered = _may_raise_limits() and identity.name != "rootless"
    outcome = identity.run(spec)
    assert outcome.stdout == ("-999\n" if lowered else _own_oom_score())


def _own_oom_score() -> str:
    with open("/proc/self/oom_score_adj") as file:
        return file.read()


def test_io_priority(identity: Identity) -> None:
    spec = identity.spec("true", io_priority=IOPriority(class_="IOPRIO_CLASS_IDLE", priority=0))
    assert identity.run(spec).status == 0


def test_an_id_that_is_not_mapped_is_said(mapped: Identity) -> None:
    with pytest.raises(OCIError, match="the user 200000:0 does not exist"):
        mapped.run(mapped.spec("true", user=User(uid=200000)))
