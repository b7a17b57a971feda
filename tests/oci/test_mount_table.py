"""Mount options that few configurations have, and namespaces that are not what they are called."""

from __future__ import annotations

import pytest

from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.spec import Mount, Namespace, Spec
from oci.identities import Identity


def with_mounts(identity: Identity, script: str, *mounts: Mount) -> Spec:
    spec = identity.spec("sh", "-c", script)
    spec.mounts += mounts
    return spec


def tmpfs(destination: str, *options: str) -> Mount:
    return Mount(destination=destination, type="tmpfs", source="tmpfs", options=list(options))


def options_of(identity: Identity, place: str, *mounts: Mount) -> set[str]:
    """The options of what is mounted last at a place."""
    outcome = identity.run(with_mounts(identity, "cat /proc/self/mountinfo", *mounts))
    assert outcome.status == 0, outcome.stderr
    lines = [line.split() for line in outcome.stdout.splitlines()]
    return set(next(line[5] for line in reversed(lines) if line[4] == place).split(","))


def test_a_destination_without_a_slash_is_below_the_root(identity: Identity) -> None:
    assert "rw" in options_of(identity, "/data/x", tmpfs("data/x"))


def test_recursive_options_of_a_new_file_system(identity: Identity) -> None:
    found = options_of(identity, "/data", tmpfs("/data", "rro", "rnosuid", "rnoexec"))
    assert {"ro", "nosuid", "noexec"} <= found


def test_a_remount(identity: Identity) -> None:
    again = Mount(destination="/data", options=["remount", "bind", "ro", "nosuid"])
    assert {"ro", "nosuid"} <= options_of(identity, "/data", tmpfs("/data"), again)


def test_a_remount_of_a_file_system_changes_its_size(identity: Identity) -> None:
    again = tmpfs("/data", "remount", "size=8k")
    script = "stat -f -c '%b %S' /data"
    outcome = identity.run(with_mounts(identity, script, tmpfs("/data", "size=64k"), again))
    blocks, size = map(int, outcome.stdout.split())
    assert blocks * size == 8192


def test_a_remount_of_a_file(identity: Identity) -> None:
    source = str(identity.base / "root/etc/passwd")
    first = Mount(destination="/data/file", source=source, options=["bind"])
    again = Mount(destination="/data/file", options=["remount", "bind", "ro"])
    assert "ro" in options_of(identity, "/data/file", first, again)


def test_a_namespace_of_another_type_is_refused(identity: Identity) -> None:
    spec = identity.spec("true")
    assert spec.linux is not None
    others = [each for each in spec.linux.namespaces if each.type != "uts"]
    spec.linux.namespaces = [*others, Namespace(type="uts", path="/proc/self/ns/net")]
    with pytest.raises(OCIError, match="/proc/self/ns/net is no uts namespace") as caught:
        identity.run(spec)
    assert caught.value.kind == "invalid"
    spec.linux.namespaces[-1] = Namespace(type="uts", path="/dev/null")
    with pytest.raises(OCIError, match="/dev/null is no uts namespace"):
        identity.run(spec)
