"""Options before and after the command, and what is said about errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cellcrate_runtime.oci.command.arguments import parse
from cellcrate_runtime.oci.command.errors import UsageError
from oci_command.program import Bundle, Program


def test_options_are_written_in_several_ways() -> None:
    known = "all,a bundle,b= cap,c="
    parsed = parse(["-a", "--bundle", "x", "one", "-c=p", "--cap=q", "two"], known)
    assert parsed.has("all")
    assert parsed.text("bundle") == "x"
    assert parsed.all("cap") == ["p", "q"]
    assert parsed.words == ["one", "two"]
    assert not parse(["--all=false"], known).has("all")
    assert parse(["one", "--", "-a"], known).words == ["one", "-a"]
    assert parse(["one", "-a"], known, stop_at_word=True).words == ["one", "-a"]


@pytest.mark.parametrize("given", [["--nothing"], ["--bundle"], ["--all=maybe"]])
def test_options_that_make_no_sense_are_refused(given: list[str]) -> None:
    with pytest.raises(UsageError):
        parse(given, "all,a bundle,b=")


def test_the_version_names_the_specifications(program: Program) -> None:
    name, specification = program.do("--version").splitlines()
    assert name.startswith("cellcrate-oci version ")
    assert specification.startswith("spec: 1.")


def test_help_lists_commands_and_options(program: Program) -> None:
    assert "  create " in program.do("--help")
    assert program.do() == program.do("help")
    assert "--console-socket VALUE" in program.do("create", "--help")


def test_an_unknown_command_is_3(program: Program) -> None:
    assert "No help topic for 'nothing'" in program.refusal("nothing", status=3)


def test_words_that_are_missing_are_asked_for(program: Program) -> None:
    assert "CONTAINER" in program.refusal("state")
    assert "CONTAINER" in program.refusal("state", "one", "two")


def test_errors_go_to_a_file_for_programs(program: Program, tmp_path: Path) -> None:
    log = tmp_path / "log"
    reporting = Program(program.root, f"--log={log}", "--log-format=json")
    said = reporting.refusal("state", "nobody")
    assert said == "container does not exist\n"
    line = json.loads(log.read_text())
    assert (line["level"], line["msg"]) == ("error", "container does not exist")
    assert line["time"].endswith("Z")


def test_a_log_that_cannot_be_written_is_said(program: Program, tmp_path: Path) -> None:
    said = Program(program.root, f"--log={tmp_path}/missing/log").refusal("list")
    assert f"--log: cannot open {tmp_path}/missing/log: No such file" in said


def test_errors_go_to_people_otherwise(program: Program) -> None:
    assert 'level=error msg="container does not exist"' in program.refusal("state", "nobody")


def test_what_systemd_is_asked_for_needs_one(program: Program, bundle: Bundle) -> None:
    path = bundle.write("true")
    asking = Program(program.root, "--systemd-cgroup")
    assert "systemd" in asking.refusal("run", "-b", path, "c1")


@pytest.mark.parametrize("command", ["checkpoint", "restore"])
def test_checkpoints_are_not_supported(program: Program, command: str) -> None:
    assert "not supported" in program.refusal(command, "--image-path=/x", "c1")


def test_containers_are_listed(program: Program, bundle: Bundle) -> None:
    program.root.mkdir()
    assert program.do("list", "--format=json") == "[]\n"
    bundle.document["annotations"] = {"of": "the test"}
    path = bundle.write("sleep", "1000")
    program.do("create", "-b", path, "c1")
    bundle.document["linux"]["cgroupsPath"] += "-of-another"
    path = bundle.write("sleep", "1000")
    program.do("run", "-d", "-b", path, "c2")
    listed = json.loads(program.do("list", "--format=json"))
    assert [(each["id"], each["status"]) for each in listed] == [
        ("c1", "created"),
        ("c2", "running"),
    ]
    assert listed[0]["annotations"] == {"of": "the test"}
    assert program.do("list", "-q") == "c1\nc2\n"
    heading, first, _ = program.do("list").splitlines()
    assert heading.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert first.split()[0] == "c1"


def test_features_are_the_specifications(program: Program) -> None:
    features = json.loads(program.do("features"))
    assert features["ociVersionMin"] == "1.0.0"
    assert "createContainer" in features["hooks"]
    assert "rbind" in features["mountOptions"]
    assert "user" in features["linux"]["namespaces"]
    assert "SCMP_ACT_ERRNO" in features["linux"]["seccomp"]["actions"]


def test_a_template_does_not_replace_a_configuration(program: Program, tmp_path: Path) -> None:
    program.do("spec", f"--bundle={tmp_path}")
    assert json.loads((tmp_path / "config.json").read_text())["process"]["args"] == ["sh"]
    assert "exists" in program.refusal("spec", f"--bundle={tmp_path}")


def test_a_template_for_an_ordinary_user_maps_one_id(program: Program, tmp_path: Path) -> None:
    program.do("spec", "--rootless", f"--bundle={tmp_path}")
    linux = json.loads((tmp_path / "config.json").read_text())["linux"]
    assert {"type": "user"} in linux["namespaces"]
    assert [mapping["size"] for mapping in linux["uidMappings"]] == [1]
