"""First processes that are made in advance."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cellcrate_runtime.linux import idmap
from cellcrate_runtime.linux.mounts import MS_PRIVATE, MS_REC, set_propagation
from cellcrate_runtime.linux.seccomp import default_profile
from cellcrate_runtime.oci.container import InitProcess, Spare, create, make_spare
from cellcrate_runtime.oci.errors import OCIError, StartError
from cellcrate_runtime.oci.rehearsal import rehearse_making
from cellcrate_runtime.oci.spec import IDMapping, Mount, Spec
from oci.identities import DEFAULT_CAPABILITIES, Identity, Outcome, run_to_end


def spare_for(identity: Identity) -> Spare:
    mappings = []
    if identity.maps_ids:
        range_ = idmap.container_range()
        mappings = [IDMapping(container_id=0, host_id=range_.outside, size=range_.size)]
    return make_spare(mappings, identity.spec("true"))


def run_spare(identity: Identity, spec: Spec, **options: object) -> tuple[bool, Outcome]:
    """Run a container with a spare at hand: whether it was the spare, and what came of it."""

    def work(root: str) -> tuple[bool, Outcome]:
        spare = spare_for(identity)
        outcome = run_to_end(spec, root, spare=spare, **options)
        with pytest.raises(OCIError):
            _ = spare.process.maker  # started, or given up
        was_given_up = spare.process.pidfd == -1
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        return not was_given_up, outcome

    return identity.in_shim(work)


def test_a_spare_becomes_the_container(identity: Identity) -> None:
    script = "id -u; hostname; echo $$; ps -A -o comm=; ls /proc/self/fd; cat /proc/net/dev | wc -l"
    spec = identity.spec("sh", "-c", script, env=["PATH=/bin", "X=1"])
    assert spec.linux is not None
    spec.linux.seccomp = default_profile(frozenset(DEFAULT_CAPABILITIES))
    taken, outcome = run_spare(identity, spec)
    assert taken
    assert outcome.stdout.split() == ["0", "box", "1", "sh", "ps", *"0123", "3"]


@pytest.mark.parametrize("kind", ["mnt", "pid", "net", "uts", "ipc", "cgroup"])
def test_it_has_every_wall(identity: Identity, kind: str) -> None:
    script = f"readlink /proc/self/ns/{kind}; cat /proc/self/mountinfo | grep -c {identity.base}"
    taken, outcome = run_spare(identity, identity.spec("sh", "-c", script))
    assert taken
    namespace, mounts_of_host = outcome.stdout.split()
    assert namespace != os.readlink(f"/proc/self/ns/{kind}")
    assert mounts_of_host == "0"


def test_mounts_come_along(identity: Identity) -> None:
    spec = identity.spec("sh", "-c", "cat /new/passwd | head -n 1; cat /etc/one")
    source = str(identity.base / "root/etc")
    spec.mounts += [
        Mount(destination="/new", source=source, options=["rbind", "ro"]),
        Mount(destination="/etc/one", source=f"{source}/group", options=["bind"]),
    ]
    taken, outcome = run_spare(identity, spec)
    assert taken
    assert outcome.stdout.startswith("root:x:0:0:root:/root:/bin/sh\nroot:x:0:\n")


def test_init(identity: Identity) -> None:
    taken, outcome = run_spare(identity, identity.spec("ps", "-A", "-o", "comm="), init=True)
    assert taken
    assert outcome.stdout.split() == ["init", "ps"]


def without_network(spec: Spec) -> None:
    assert spec.linux is not None
    spec.linux.namespaces = [n for n in spec.linux.namespaces if n.type != "network"]


def with_much_to_say(spec: Spec) -> None:
    assert spec.process is not None
    spec.process.env.append("LONG=" + "x" * 130_000)


@pytest.mark.parametrize("change", [without_network, with_much_to_say])
def test_one_that_does_not_fit_is_given_up(
    identity: Identity, change: Callable[[Spec], None]
) -> None:
    spec = identity.spec("sh", "-c", "echo fine")
    change(spec)
    taken, outcome = run_spare(identity, spec)
    assert not taken
    assert outcome.stdout == "fine\n"


@pytest.mark.parametrize(
    ("args", "mount", "error"),
    [
        (["nosuch"], None, StartError),
        (["true"], Mount(destination="/x", source="/no/such", options=["bind"]), OCIError),
        (["true"], Mount(destination="/x", type="tmpfs", options=["size=x"]), OCIError),
    ],
)
def test_failures_leave_nothing(
    identity: Identity, args: list[str], mount: Mount | None, error: type[Exception]
) -> None:
    def work(root: str) -> None:
        spec = identity.spec(*args)
        if mount is not None:
            spec.mounts.append(mount)
        spare = spare_for(identity)
        with pytest.raises(error):
            run_to_end(spec, root, spare=spare)
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    identity.in_shim(work)


def test_a_spare_that_was_killed_is_noticed(identity: Identity) -> None:
    def work(root: str) -> None:
        spare = spare_for(identity)
        signal.pidfd_send_signal(spare.process.pidfd, signal.SIGKILL)
        time.sleep(0.05)
        with pytest.raises(OCIError, match="killed"):
            create(identity.spec("true"), rootfs=root, stdio=None, cgroup=None, spare=spare)
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    identity.in_shim(work)


def test_it_dies_with_its_maker(identity: Identity) -> None:
    def make_and_leave(_root: str) -> int:
        return spare_for(identity).process.pid

    pid = identity.in_shim(make_and_leave)
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.01)


def test_it_holds_nothing_of_its_maker_open(identity: Identity) -> None:
    def work(_root: str) -> set[str]:
        process: InitProcess = spare_for(identity).process
        folder = f"/proc/{process.pid}/fd"
        deadline = time.monotonic() + 5
        while "socket" not in (kinds := kinds_above_standard(folder)) or len(kinds) > 1:
            assert time.monotonic() < deadline, kinds
            time.sleep(0.01)
        process.abort()
        return kinds

    assert identity.in_shim(work) == {"socket"}  # the channel


def kinds_above_standard(folder: str) -> set[str]:
    links = []
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            if int(name) > 2:
                links.append(os.readlink(f"{folder}/{name}"))
    return {link.partition(":")[0] for link in links}


def test_a_rehearsal_leaves_nothing(identity: Identity) -> None:
    def work(_root: str) -> tuple[int, int, str, str]:
        # What others mount on the machine meanwhile is not to be seen in here.
        set_propagation("/", MS_REC | MS_PRIVATE)
        example = identity.spec("true")
        example.mounts.append(Mount(destination="/x", source="/no/such", options=["bind"]))
        rehearse_making(example)
        descriptors = len(os.listdir("/proc/self/fd"))
        mounts = Path("/proc/self/mountinfo").read_text()
        rehearse_making(example)
        after = Path("/proc/self/mountinfo").read_text()
        return descriptors, len(os.listdir("/proc/self/fd")), mounts, after

    descriptors, descriptors_after, mounts, mounts_after = identity.in_shim(work)
    assert descriptors == descriptors_after
    assert mounts == mounts_after
