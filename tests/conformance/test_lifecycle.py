"""runtime.md: the operations, the states between them, and what each state does not allow."""

from __future__ import annotations

import json
import os
from pathlib import Path

from conformance.box import Box
from conformance.runtimes import Runtime


def test_from_created_to_deleted(box: Box) -> None:
    """Lifecycle; State."""
    box.create("sleep", "1000")
    assert box.state()["status"] == "created"
    box.do("start")
    assert box.state()["status"] == "running"
    box.end()
    assert box.state()["status"] == "stopped"
    box.do("delete")
    assert box.operate("state").returncode != 0


def test_the_state_has_its_members(box: Box) -> None:
    """State: ociVersion, id, status, pid and bundle are required; annotations are passed on."""
    box.document["annotations"] = {"com.example.key": "value", "com.example.empty": ""}
    box.create("sleep", "1000")
    state = box.state()
    assert (state["id"], state["status"]) == (box.id, "created")
    assert state["ociVersion"].count(".") >= 2
    assert state["bundle"] == str(box.folder)
    assert state["annotations"].items() >= box.document["annotations"].items()
    assert Path(f"/proc/{state['pid']}").exists()


def test_create_does_not_run_the_program(box: Box) -> None:
    """Create: process.args must not be applied before start."""
    box.mount("/data", "bind", "bind")
    box.create("touch", "/data/ran")
    assert not (box.scratch / "ran").exists()
    box.do("start")
    box.output_at_end()
    assert (box.scratch / "ran").exists()


def test_a_change_after_create_has_no_effect(box: Box) -> None:
    """Create: later changes to config.json do not reach the container."""
    box.create("sh", "-c", "echo first; hostname")
    box.document["hostname"] = "changed"
    box.write("sh", "-c", "echo second")
    box.do("start")
    assert box.output_at_end().split() == ["first", "box"]


def test_an_id_is_taken_until_its_container_is_deleted(box: Box, another: Box) -> None:
    """Create: the id must be unique; Delete: it may be used again."""
    box.create("sleep", "1000")
    another.id = box.id
    another.write("true")
    words = ["create", f"--bundle={another.folder}", box.id]
    assert box.runtime.call(*words).returncode != 0
    assert box.state()["bundle"] == str(box.folder)
    box.end()
    assert box.runtime.call(*words).returncode != 0
    box.do("delete")
    another.create("true")


def test_an_id_that_cannot_be_is_refused(box: Box) -> None:
    """Create: an id that is not valid must be refused."""
    box.write("true")
    for name in ("", ".", "..", "a/b", "../a"):
        assert box.runtime.call("create", f"--bundle={box.folder}", name).returncode != 0
    assert not list(box.runtime.root.glob("*"))


def test_no_operation_finds_what_is_not_there(box: Box) -> None:
    """Query State, Start, Kill, Delete: of a container that does not exist."""
    for operation in ("state", "start", "delete"):
        assert box.operate(operation).returncode != 0
    assert box.operate("kill", "KILL").returncode != 0


def test_no_operation_does_without_an_id(runtime: Runtime) -> None:
    """Operations: each must refuse to be called without the id of a container."""
    for operation in ("state", "create", "start", "kill", "delete"):
        assert runtime.call(operation).returncode != 0


def test_start_is_for_created_containers_alone(box: Box) -> None:
    """Start: of what is not created must have no effect."""
    box.create("sleep", "1000")
    box.do("start")
    pid = box.pid
    assert box.operate("start").returncode != 0
    assert (box.state()["status"], box.pid) == ("running", pid)
    box.end()
    assert box.operate("start").returncode != 0
    assert box.state()["status"] == "stopped"


def test_kill_reaches_a_container_that_is_created(box: Box) -> None:
    """Kill: is for what is created as for what runs."""
    box.create("sleep", "1000")
    box.end()
    assert box.state()["status"] == "stopped"


def test_kill_sends_the_signal_that_is_named(box: Box) -> None:
    """Kill: the process gets the signal."""
    box.create("sh", "-c", "trap 'echo got; exit' USR1; echo ready; while :; do sleep 0.01; done")
    box.do("start")
    while "ready" not in (box.folder / "output").read_text():
        pass
    box.do("kill", "USR1")
    assert box.output_at_end().split() == ["ready", "got"]


def test_kill_is_not_for_what_has_stopped(box: Box) -> None:
    """Kill: of what is neither created nor running must be refused."""
    box.create("true")
    box.do("start")
    box.output_at_end()
    assert box.operate("kill", "KILL").returncode != 0
    assert box.state()["status"] == "stopped"


def test_delete_is_not_for_what_runs(box: Box) -> None:
    """Delete: of what has not stopped must have no effect."""
    box.create("sleep", "1000")
    box.do("start")
    pid = box.pid
    assert box.operate("delete").returncode != 0
    assert (box.state()["status"], box.pid) == ("running", pid)


def test_delete_removes_what_create_made(box: Box) -> None:
    """Delete: the resources of the create step must be deleted, and no others."""
    (box.scratch / "file").touch()
    box.mount("/data", "bind", "bind")
    box.create("true")
    assert bool(box.groups()) == (os.geteuid() == 0)
    box.do("start")
    box.output_at_end()
    box.do("delete")
    assert box.left() == []
    assert (box.scratch / "file").exists()


def test_start_needs_a_process(box: Box) -> None:
    """Start: must be refused if process was not set."""
    del box.document["process"]
    (box.folder / "config.json").write_text(json.dumps(box.document))
    assert box.try_create()[0] != 0 or box.operate("start").returncode != 0


def test_a_program_that_is_missing_is_an_error(box: Box) -> None:
    """Start: must run the program; what cannot be is an error of create or start."""
    box.write("/no/such/program")
    assert box.try_create()[0] != 0 or box.operate("start").returncode != 0


def test_a_container_without_a_bundle_is_an_error(box: Box, tmp_path: Path) -> None:
    """Create: must be refused without a path to a bundle, or without a configuration there."""
    assert box.runtime.call("create", f"--bundle={tmp_path / 'no'}", box.id).returncode != 0
    assert box.runtime.call("create", f"--bundle={tmp_path}", box.id).returncode != 0
    assert box.left() == []
