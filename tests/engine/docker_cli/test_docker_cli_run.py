"""`docker run` and its options."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest


def test_output_errors_and_exit_status_come_back(docker: Any) -> None:
    done = docker.run("run", "--rm", docker.image, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_input_goes_in(docker: Any) -> None:
    assert docker("run", "--rm", "-i", docker.image, "cat", input="a\nb") == "a\nb"


def test_a_megabyte_goes_in_and_out_unchanged(docker: Any) -> None:
    data = bytes(range(256)) * 4096
    assert docker.bytes("run", "--rm", "-i", docker.image, "cat", input=data) == data


def test_detached_it_prints_its_id(docker: Any) -> None:
    container = docker("run", "-d", docker.image, "sh", "-c", "echo done")
    assert len(container) == 64
    assert docker("wait", container) == "0"
    assert docker("logs", container) == "done"


def test_rm_leaves_nothing(docker: Any) -> None:
    docker("run", "--rm", "--name", "brief", docker.image, "true")
    docker.eventually(lambda: docker("ps", "-aq") == "")


def test_the_name_is_taken_once(docker: Any) -> None:
    docker("run", "--name", "only", docker.image, "true")
    again = docker.run("run", "--name", "only", docker.image, "true")
    assert again.returncode == 125
    assert 'The container name "/only" is already in use' in again.stderr


def test_environment_user_directory_and_hostname(docker: Any) -> None:
    shown = docker(
        *("run", "--rm", "-e", "A=1 2", "-e", "PATH=/bin:/usr/bin", "-u", "1234:567"),
        *("-w", "/made/on/the/way", "--hostname", "cell", docker.image),
        *("sh", "-c", 'echo "$A|$PATH|$(id -u):$(id -g)|$PWD|$(hostname)|$HOSTNAME"'),
    )
    assert shown == "1 2|/bin:/usr/bin|1234:567|/made/on/the/way|cell|cell"


def test_a_folder_of_the_host_read_write_and_read_only(docker: Any, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("from the host")
    script = "cat /both/in; echo from the container > /both/out; echo no > /only/out"
    done = docker.run(
        *("run", "--rm", "-v", f"{tmp_path}:/both", "-v", f"{tmp_path}:/only:ro"),
        *(docker.image, "sh", "-c", script),
    )
    assert done.stdout == "from the host"
    assert "Read-only file system" in done.stderr
    assert (tmp_path / "out").read_text() == "from the container\n"


def test_read_only_with_a_tmpfs(docker: Any) -> None:
    script = "echo a > /tmp/a && cat /tmp/a; df -k /tmp | tail -1 | awk '{print $2}'; echo b > /b"
    done = docker.run(
        *("run", "--rm", "--read-only", "--tmpfs", "/tmp:size=4m,mode=1777"),
        *(docker.image, "sh", "-c", script),
    )
    assert done.stdout.split() == ["a", "4096"]
    assert "Read-only file system" in done.stderr
    assert done.returncode != 0


@pytest.mark.parametrize(
    ("options", "mask"),
    [
        ((), "00000000a80425fb"),
        (("--cap-drop", "ALL"), "0000000000000000"),
        (("--cap-drop", "ALL", "--cap-add", "NET_ADMIN"), "0000000000001000"),
        (("--cap-drop", "CHOWN"), "00000000a80425fa"),
    ],
)
def test_capabilities(docker: Any, options: tuple[str, ...], mask: str) -> None:
    shown = docker("run", "--rm", *options, docker.image, "grep", "CapEff", "/proc/self/status")
    assert shown.split() == ["CapEff:", mask]


def test_ulimits(docker: Any) -> None:
    shown = docker(
        *("run", "--rm", "--ulimit", "nofile=100:200", "--ulimit", "core=0"),
        *(docker.image, "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c"),
    )
    assert shown.split() == ["100", "200", "0"]


def test_no_program_says_so_with_the_status_of_a_shell(docker: Any) -> None:
    missing = docker.run("run", "--rm", docker.image, "no-such-program")
    assert missing.returncode == 127
    assert "no-such-program" in missing.stderr
    folder = docker.run("run", "--rm", docker.image, "/etc")
    assert folder.returncode == 126
    assert docker("ps", "-aq") == ""


def test_an_unknown_image_says_what_to_do(docker: Any) -> None:
    done = docker.run("run", "--rm", "no-such-image:ever", "true")
    assert done.returncode == 125
    assert "no-such-image:ever" in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("-m", "4k"),
        ("-m", "1000000g"),
        ("--cpus", "10000"),
        ("--cap-add", "FLYING"),
        ("-v", "/no/such/folder/here:/x:bananas"),
        ("--ulimit", "nofile=20:10"),
        ("--restart", "sometimes"),
        ("-u", "nobody-has-this-name"),
    ],
)
def test_bad_options_create_nothing(docker: Any, options: tuple[str, ...]) -> None:
    done = docker.run("run", "--rm", *options, docker.image, "true")
    assert done.returncode in (125, 126)
    assert done.stderr.strip()
    assert docker("ps", "-aq") == ""


def test_interrupting_it_interrupts_the_container(docker: Any) -> None:
    script = "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.1; done"
    process = docker.start("run", "--rm", docker.image, "sh", "-c", script)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(subprocess.signal.SIGINT)  # type: ignore[attr-defined]
    assert process.stdout.read() == "interrupted\n"
    assert process.wait() == 3


def test_what_was_asked_for_is_what_inspect_shows(docker: Any) -> None:
    docker(
        *("create", "--name", "asked"),
        *("-e", "A=1", "-w", "/tmp", "-u", "nobody", "-v", "/tmp:/host:ro", "--read-only"),
        *("--tmpfs", "/run:size=1m", "--cap-add", "NET_ADMIN", "--cap-drop", "MKNOD"),
        *("--ulimit", "nofile=10:20", "--restart", "on-failure:3", "--label", "a=b"),
        *("--health-cmd", "true", "--health-interval", "2s", docker.image, "sleep", "1"),
    )
    (shown,) = json.loads(docker("inspect", "asked"))
    config, host = shown["Config"], shown["HostConfig"]
    assert shown["Name"] == "/asked"
    assert shown["State"]["Status"] == "created"
    assert [shown["Path"], *shown["Args"]] == ["sleep", "1"]
    assert host["Binds"] == ["/tmp:/host:ro"]
    assert host["ReadonlyRootfs"] is True
    assert host["Tmpfs"] == {"/run": "size=1m"}
    assert [name.removeprefix("CAP_") for name in host["CapAdd"]] == ["NET_ADMIN"]
    assert [name.removeprefix("CAP_") for name in host["CapDrop"]] == ["MKNOD"]
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 10, "Hard": 20}]
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert "A=1" in config["Env"]
    assert (config["WorkingDir"], config["User"]) == ("/tmp", "nobody")
    assert config["Labels"]["a"] == "b"
    assert config["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Interval": 2_000_000_000}
    assert shown["Mounts"][0]["Destination"] == "/host"
    assert shown["Mounts"][0]["RW"] is False
