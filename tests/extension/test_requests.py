"""From a line and a cell to the body of ContainerCreate."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from cellcrate.cells.ownership import LABEL, owner
from cellcrate.cells.request import Request, cell_request, run_request
from cellcrate.cells.script import SCRIPT_PATH, archive, script
from cellcrate.errors import UsageError
from cellcrate.images.names import split_reference
from cellcrate.options import parse, split
from cellcrate.options.run import CELL_GROUPS, RUN_GROUPS


def request(line: str = "", cell: str = "text\n") -> Request:
    return cell_request(parse(split(line), CELL_GROUPS, "%%container"), cell, CELL_GROUPS)


def refused(line: str, cell: str = "text\n") -> str:
    with pytest.raises(UsageError) as raised:
        request(line, cell)
    return str(raised.value)


def test_a_cell_alone_is_a_script_in_the_base_image():
    made = request()
    assert made.image == made.body["Image"] == "cellcrate/base"
    assert (made.body["Entrypoint"], made.body["Cmd"]) == (["sh"], ["-c", "text\n"])
    assert made.remove
    assert made.stdin is None


def test_the_environment_may_name_the_image(monkeypatch):
    monkeypatch.setenv("CELLCRATE_IMAGE", "alpine")
    assert request().image == "alpine"
    assert request("debian").image == "debian"


def test_a_command_takes_the_cell_as_input():
    made = request("alpine sort -r")
    assert made.body["Cmd"] == ["sort", "-r"]
    assert "Entrypoint" not in made.body
    assert made.stdin == b"text\n"
    assert made.body["OpenStdin"]
    assert made.body["StdinOnce"]


def test_an_entry_point_takes_the_cell_as_input():
    made = request("--entrypoint cat alpine")
    assert (made.body["Entrypoint"], made.stdin) == (["cat"], b"text\n")
    assert "Cmd" not in made.body


def test_the_image_as_an_option_leaves_every_word_to_the_command():
    made = request("--image alpine sort")
    assert (made.image, made.body["Cmd"]) == ("alpine", ["sort"])


def test_a_cell_of_white_space_leaves_the_images_own_command():
    made = request("alpine", " \n")
    assert "Cmd" not in made.body
    assert "Entrypoint" not in made.body
    assert made.stdin is None


def test_the_body_is_the_api_s():
    made = request(
        "-m 64m --cpus 1.5 -e A=1 -l x=y -p 80:81 -v /a:/b -v /c --tmpfs /t:size=1m --init "
        "--cap-add NET_ADMIN --ulimit nofile=10 --health-cmd 'true' --health-interval 1s "
        "--read-only --pids-limit 5 --network none -u 1 -w /w -h box --log-opt max-size=1m"
    )
    host = made.body["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (64 << 20, 1_500_000_000, 5)
    assert made.body["Env"] == ["TERM=xterm-256color", "A=1"]
    assert made.body["Labels"] == {"x": "y"}
    assert host["PortBindings"] == {"81/tcp": [{"HostIp": "", "HostPort": "80"}]}
    assert made.body["ExposedPorts"] == {"81/tcp": {}}
    assert host["Binds"] == ["/a:/b"]
    assert made.body["Volumes"] == {"/c": {}}
    assert host["Tmpfs"] == {"/t": "size=1m"}
    assert (host["Init"], host["ReadonlyRootfs"], host["CapAdd"]) == (True, True, ["NET_ADMIN"])
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 10, "Hard": 10}]
    assert made.body["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Interval": 10**9}
    assert host["LogConfig"] == {"Config": {"max-size": "1m"}}
    assert (made.body["User"], made.body["WorkingDir"], made.body["Hostname"]) == ("1", "/w", "box")
    assert host["NetworkMode"] == "none"


def test_variables_of_the_line_win_over_those_of_a_file(tmp_path: Path):
    (tmp_path / "env").write_text("A=file\nB=file\n")
    made = request(f"-e A=line --env-file {tmp_path / 'env'}")
    assert made.body["Env"][1:] == ["A=line", "B=file"]


def test_a_terminal_has_a_type_and_a_size_that_the_line_may_change():
    made = request("-t -e TERM=dumb")
    assert made.tty
    assert made.body["Env"] == ["TERM=dumb", "COLUMNS=100"]
    assert request("-d").body["Env"] == []
    assert made.body["HostConfig"]["ConsoleSize"] == [24, 100]


def test_a_detached_container_stays_unless_told_otherwise():
    assert not request("-d").remove
    made = request("-d --rm")
    assert made.remove
    assert made.body["HostConfig"]["AutoRemove"]


def test_options_that_contradict_each_other_are_refused():
    assert "--detach" in refused("--restart always")
    assert "contradict" in refused("-d --rm --restart always")
    assert "contradict" in refused("--rm --no-rm")
    assert "one of them" in refused("--python --interpreter perl")
    assert "standard input" in refused("--python alpine sort")
    assert "standard input" in refused("-d alpine sort")
    assert "--name" in refused("--replace")
    assert "--detach does not" in refused("-d --no-raise-error")
    assert "--read-only" in refused("--read-only", "#!/usr/bin/awk -f\n")


def test_run_needs_an_image():
    with pytest.raises(UsageError, match="needs an image"):
        run_request(parse([], RUN_GROUPS, "%container run"), RUN_GROUPS)
    made = run_request(parse(split("alpine ls -l"), RUN_GROUPS, "x"), RUN_GROUPS)
    assert (made.image, made.body["Cmd"]) == ("alpine", ["ls", "-l"])


@pytest.mark.parametrize(
    ("text", "interpreter", "command"),
    [
        ("x", "", ["sh", "-c", "x"]),
        ("x", "bash -eu", ["bash", "-eu", "-c", "x"]),
        ("x", "/usr/bin/python3.11", ["/usr/bin/python3.11", "-c", "x"]),
        ("x", "perl", ["perl", "-e", "x"]),
        ("#!/bin/bash\nx", "", ["/bin/bash", "-c", "#!/bin/bash\nx"]),
        ("#! /bin/sh -e\nx", "", ["/bin/sh", "-e", "-c", "#! /bin/sh -e\nx"]),
        ("#!/usr/bin/env node\nx", "", ["/usr/bin/env", "node", "-e", "#!/usr/bin/env node\nx"]),
        ("#!/bin/bash\nx", "sh", ["sh", "-c", "#!/bin/bash\nx"]),
        ("#!/usr/bin/awk -f\nx", "", ["/usr/bin/awk", "-f", SCRIPT_PATH]),
        ("#!/usr/bin/env -S awk -f\nx", "", ["/usr/bin/env", "awk", "-f", SCRIPT_PATH]),
        ("x", "awk -f", ["awk", "-f", SCRIPT_PATH]),
    ],
)
def test_interpreters(text: str, interpreter: str, command: list[str]):
    made = script(text, interpreter)
    assert made.command == command
    assert made.file == (text.encode() if SCRIPT_PATH in command else None)


def test_a_long_script_becomes_a_file():
    assert script("x" * 131071).file is None
    assert script("x" * 131072).file == b"x" * 131072
    assert script("é" * 65536).file is not None, "bytes count, not characters"


def test_a_zero_byte_is_refused():
    with pytest.raises(UsageError, match="zero byte"):
        script("a\0b")


def test_the_archive_of_a_script():
    with tarfile.open(fileobj=io.BytesIO(archive(b"text"))) as tar:
        member = tar.getmembers()[0]
        assert (f"/{member.name}", member.mode, tar.extractfile(member).read()) == (
            SCRIPT_PATH,
            0o755,
            b"text",
        )


def test_the_owner_is_this_process():
    pid, start = owner().split(":")
    assert int(pid) == os.getpid()
    assert Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()[19] == start
    made = request("-l a=b")
    made.tie_to_this_process()
    assert made.body["Labels"] == {"a": "b", LABEL: owner()}


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("alpine", ("alpine", "latest")),
        ("alpine:3", ("alpine", "3")),
        ("host:5000/a/b", ("host:5000/a/b", "latest")),
        ("host:5000/a/b:c", ("host:5000/a/b", "c")),
        ("a@sha256:12", ("a", "sha256:12")),
    ],
)
def test_references_of_images(image: str, parts: tuple[str, str]):
    assert split_reference(image) == parts
