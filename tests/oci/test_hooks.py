"""Programs that are run at certain moments of a container's life."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cellcrate_runtime.oci import hooks
from cellcrate_runtime.oci.container import create, make_spare
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.spec import Hook, Hooks, Spec
from cellcrate_runtime.oci.state import State
from oci.identities import Identity, Outcome, run_to_end

STATE = State(
    oci_version="1.2.0", id="box", status="creating", bundle="/var/tmp", annotations={"a": "b"}
)


def shell(script: str, **settings: Any) -> Hook:
    return Hook(path="/bin/sh", args=["sh", "-c", script], env=["PATH=/bin:/usr/bin"], **settings)


def run(identity: Identity, spec: Spec, **options: object) -> Outcome:
    return identity.in_shim(lambda root: run_to_end(spec, root, state=STATE, **options))


def notebook(tmp_path: Path) -> Path:
    """A file that everybody may write to, by a path that everybody may walk."""
    folder = tmp_path
    while folder.stat().st_mode & 0o005 != 0o005:  # those above have been open before
        folder.chmod(0o755)
        folder = folder.parent
    file = tmp_path / "notes"
    file.touch()
    file.chmod(0o666)
    return file


@pytest.mark.parametrize("init", [False, True])
def test_all_run_in_their_order_and_namespaces(
    identity: Identity, tmp_path: Path, init: bool
) -> None:
    notes = notebook(tmp_path)
    note = f"readlink /proc/self/ns/mnt >> {notes}; cat >> {notes}; echo >> {notes}"
    spec = identity.spec("sh", "-c", "cat /tmp/state; readlink /proc/self/ns/mnt")
    spec.hooks = Hooks(
        prestart=[shell(note)],
        create_runtime=[shell(note)],
        create_container=[shell(note)],
        start_container=[shell("cat > /tmp/state; echo >> /tmp/state")],
    )
    outcome = run(identity, spec, init=init)
    assert outcome.status == 0, outcome.stderr
    inside, in_mount_namespace = outcome.stdout.splitlines()
    lines = notes.read_text().splitlines()
    namespaces, states = lines[::2], [json.loads(line) for line in lines[1::2]]
    assert namespaces[0] == namespaces[1] != in_mount_namespace
    assert namespaces[2] == in_mount_namespace
    states.append(json.loads(inside))
    assert [state["status"] for state in states] == ["created"] * 4
    assert states[0]["pid"] == states[1]["pid"] > 1
    assert states[2]["pid"] == states[3]["pid"] == 1
    assert all(s["id"] == "box" and s["annotations"] == {"a": "b"} for s in states)


def test_hooks_outside_come_when_the_mounts_are_made(identity: Identity, tmp_path: Path) -> None:
    notes = notebook(tmp_path)
    spec = identity.spec("true")
    script = f"cat > /dev/null; grep -c ' /[^ ]*/dev/shm ' /proc/self/mountinfo > {notes}"
    spec.hooks = Hooks(create_container=[shell(script)])
    assert run(identity, spec).status == 0
    assert int(notes.read_text()) >= 1


@pytest.mark.root
def test_a_hook_of_the_container_may_mount_into_its_root(base: Path) -> None:
    host = Identity("host", 0, base)
    spec = host.spec("cat", "/data/made-by-hook")

    def work(root: str) -> Outcome:
        mount = f"mount -t tmpfs tmpfs {root}/data && echo yes > {root}/data/made-by-hook"
        spec.hooks = Hooks(create_container=[shell(mount)])
        return run_to_end(spec, root, state=STATE)

    assert host.in_shim(work).stdout == "yes\n"


def test_a_hook_of_the_container_begins_in_its_root(identity: Identity, tmp_path: Path) -> None:
    notes = notebook(tmp_path)
    spec = identity.spec("true")
    spec.hooks = Hooks(create_container=[shell(f"ls -d data > {notes}")])
    assert run(identity, spec).status == 0
    assert notes.read_text() == "data\n"


def test_a_hook_inside_without_an_environment_has_the_programs(identity: Identity) -> None:
    spec = identity.spec("cat", "/tmp/said", env=["X=of the program", "PATH=/bin"])
    script = 'echo "$X" > /tmp/said; test -n "$HOME"'
    spec.hooks = Hooks(start_container=[Hook(path="/bin/sh", args=["sh", "-c", script])])
    assert run(identity, spec).stdout == "of the program\n"


def test_a_failure_names_the_hook_in_runc_s_words(identity: Identity) -> None:
    for kind, member in (
        ("createRuntime", "create_runtime"),
        ("startContainer", "start_container"),
    ):
        spec = identity.spec("true")
        spec.hooks = Hooks(**{member: [shell("true"), shell("false")]})
        with pytest.raises(OCIError, match=f"^error running {kind} hook #1: "):
            run(identity, spec)


def test_a_hook_has_its_own_environment_and_begins_in_the_bundle(identity: Identity) -> None:
    spec = identity.spec("cat", "/tmp/said")
    spec.hooks = Hooks(
        create_runtime=[shell('test $(pwd) = /var/tmp && test -z "$HOME"')],
        start_container=[
            Hook(
                path="/bin/sh",
                args=["sh", "-c", "echo $0 $X $HOME > /tmp/said"],
                env=["X=1", "PATH=/bin"],
            )
        ],
    )
    assert run(identity, spec).stdout == "sh 1\n"


@pytest.mark.parametrize("kind", ["prestart", "create_runtime", "create_container"])
def test_a_failure_is_the_end_of_the_container(identity: Identity, kind: str) -> None:
    spec = identity.spec("echo", "never")
    spec.hooks = Hooks(**{kind: [shell("echo the reason >&2; exit 3"), shell("exit 4")]})
    with pytest.raises(OCIError, match="/bin/sh failed with exit code 3: the reason"):
        run(identity, spec)


def test_a_failure_before_the_program(identity: Identity) -> None:
    spec = identity.spec("echo", "never")
    spec.hooks = Hooks(start_container=[Hook(path="/bin/missing")])
    with pytest.raises(OCIError, match=r"/bin/missing could not be run \(exit code 127\): no such"):
        run(identity, spec)


def test_a_hook_that_takes_too_long(identity: Identity) -> None:
    spec = identity.spec("true")
    spec.hooks = Hooks(create_runtime=[shell("exec sleep 60", timeout=1)])
    with pytest.raises(OCIError, match="did not end within its timeout of 1 second"):
        run(identity, spec)


def test_a_spare_is_given_up_for_them(mapped: Identity) -> None:
    mappings = mapped.spec("true").linux.uid_mappings  # type: ignore[union-attr]
    spec = mapped.spec("cat", "/tmp/said")
    spec.hooks = Hooks(start_container=[shell("echo yes > /tmp/said")])

    def work(root: str) -> Outcome:
        spare = make_spare(mappings, mapped.spec("true"))
        outcome = run_to_end(spec, root, state=STATE, spare=spare)
        assert spare.process.pidfd == -1
        return outcome

    assert mapped.in_shim(work).stdout == "yes\n"


def test_those_after_the_end_all_run(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    state = State(oci_version="1.2.0", id="box", status="stopped", bundle=str(tmp_path))
    wanted = [shell("exit 1"), shell("echo more > notes"), Hook(path="/missing")]
    first, second = hooks.run_each("poststop", wanted, state)
    assert "exit code 1" in first.message
    assert "/missing" in second.message
    assert notes.read_text() == "more\n"


def test_they_need_a_state(identity: Identity) -> None:
    spec = identity.spec("true")
    spec.hooks = Hooks(prestart=[shell("true")])
    with pytest.raises(OCIError, match="hooks: there is no container's state"):
        identity.in_shim(lambda root: create(spec, rootfs=root, stdio=None, cgroup=None))
