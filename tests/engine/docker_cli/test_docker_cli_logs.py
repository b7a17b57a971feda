"""`docker logs`."""

from __future__ import annotations

import re
from typing import Any


def test_both_streams(docker: Any) -> None:
    docker("run", "--name", "both", docker.image, "sh", "-c", "echo out; echo error >&2")
    done = docker.run("logs", "both")
    assert (done.stdout, done.stderr) == ("out\n", "error\n")


def test_the_last_lines(docker: Any) -> None:
    docker("run", "--name", "five", docker.image, "seq", "5")
    assert docker("logs", "--tail", "2", "five") == "4\n5"
    assert docker("logs", "--tail", "all", "five") == "1\n2\n3\n4\n5"
    assert docker("logs", "--tail", "0", "five") == ""
    assert docker.run("logs", "--tail", "bananas", "five").returncode != 0


def test_timestamps_and_since_and_until(docker: Any) -> None:
    script = "echo first; sleep 1.2; echo second"
    docker("run", "--name", "two", docker.image, "sh", "-c", script)
    first, second = docker("logs", "-t", "two").splitlines()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"
    assert re.fullmatch(rf"{stamp} first", first)
    assert re.fullmatch(rf"{stamp} second", second)
    moment = second.split()[0]
    assert docker("logs", "--since", moment, "two") == "second"
    assert docker("logs", "--until", first.split()[0], "two") == "first"
    assert docker("logs", "--since", "1h", "two") == "first\nsecond"
    assert docker("logs", "--until", "1h", "two") == ""


def test_following_ends_with_the_container_and_misses_nothing(docker: Any) -> None:
    script = "for i in $(seq 2000); do echo line $i; done; read x; seq 3000"
    docker("run", "-di", "--name", "long", docker.image, "sh", "-c", script)
    following = docker.start("logs", "-f", "long")
    assert following.stdout.readline() == "line 1\n"
    typing = docker.start("attach", "long", stdin=-1)
    typing.stdin.write("go\n")
    typing.stdin.flush()
    rest = following.stdout.read().splitlines()
    assert following.wait() == 0
    assert rest == [f"line {i}" for i in range(2, 2001)] + [str(i) for i in range(1, 3001)]


def test_following_what_has_ended_ends(docker: Any) -> None:
    docker("run", "--name", "over", docker.image, "echo", "said")
    assert docker("logs", "-f", "over") == "said"


def test_a_terminals_log_is_raw(docker: Any) -> None:
    docker("run", "-dt", "--name", "tty", docker.image, "sh", "-c", "echo a; echo b >&2")
    docker("wait", "tty")
    assert docker.bytes("logs", "tty") == b"a\r\nb\r\n"


def test_rotated_logs_are_read_whole(docker: Any) -> None:
    docker(
        *("run", "--name", "much", "--log-opt", "max-size=20k", "--log-opt", "max-file=3"),
        *(docker.image, "seq", "2000"),
    )
    lines = docker("logs", "much").splitlines()
    assert lines[-1] == "2000"
    assert 300 < len(lines) < 2000  # the oldest were rotated away
    assert lines == [str(number) for number in range(2001 - len(lines), 2001)]
    assert docker("logs", "--tail", "300", "much").splitlines() == lines[-300:]


def test_nobody_keeps_the_log_of_a_container_without_one(docker: Any) -> None:
    docker("run", "--name", "silent", "--log-driver", "none", docker.image, "echo", "a")
    done = docker.run("logs", "silent")
    assert done.returncode == 1
    assert "does not support reading" in done.stderr
