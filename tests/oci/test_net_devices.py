"""Network devices of the host that move into a container."""

from __future__ import annotations

import subprocess

import pytest

from cellcrate_runtime.linux import namespaces
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.spec import NetDevice, Spec
from oci.identities import Identity, Outcome, run_to_end

pytestmark = pytest.mark.root


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def run(identity: Identity, spec: Spec, *devices: str) -> Outcome:
    """Run a container from a network namespace of the test's own, which has these devices."""

    def work(root: str) -> Outcome:
        namespaces.unshare(namespaces.FLAGS["network"])
        for name in devices:
            ip("link", "add", name, "type", "veth", "peer", "name", f"peer-{name}")
            ip("link", "set", f"peer-{name}", "up")
            ip("addr", "add", "10.9.8.7/24", "dev", name)
        try:
            return run_to_end(spec, root)
        except OCIError as error:
            there = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True).stdout
            error.add_note(f"left: {[name for name in devices if f' {name}@' in there]}")
            raise

    return identity.in_shim(work)


def spec_of(identity: Identity, **devices: NetDevice) -> Spec:
    spec = identity.spec("sh", "-c", "cat /proc/net/dev /proc/net/fib_trie /proc/net/route")
    assert spec.linux is not None
    spec.linux.net_devices = devices
    return spec


@pytest.mark.parametrize("name", ["", "inside0", "in%d"])
def test_a_device_moves_with_its_address(mapped: Identity, name: str) -> None:
    outcome = run(mapped, spec_of(mapped, moving5=NetDevice(name=name)), "moving5")
    assert outcome.status == 0, outcome.stderr
    new_name = {"": "moving5", "in%d": "in0"}.get(name, name)
    assert f"{new_name}:" in outcome.stdout
    assert "10.9.8.7" in outcome.stdout
    assert f"{new_name}\t0008090A" in outcome.stdout  # a route: the device is up


def test_a_device_that_is_not_there(mapped: Identity) -> None:
    with pytest.raises(OCIError, match=r"linux\.netDevices: there is no network device 'missing0'"):
        run(mapped, spec_of(mapped, missing0=NetDevice()))


def test_a_name_that_is_taken(mapped: Identity) -> None:
    spec = spec_of(mapped, moving5=NetDevice(), moving6=NetDevice(name="lo"))
    with pytest.raises(OCIError, match="has a network device 'lo' already") as caught:
        run(mapped, spec, "moving5", "moving6")
    assert "left: ['moving5', 'moving6']" in "".join(caught.value.__notes__)


def test_a_device_that_may_not_move_brings_the_others_back(mapped: Identity) -> None:
    spec = spec_of(mapped, moving5=NetDevice(), lo=NetDevice(name="other"))
    with pytest.raises(OCIError, match=r"linux\.netDevices: ") as caught:
        run(mapped, spec, "moving5")
    assert "left: ['moving5']" in "".join(caught.value.__notes__)
