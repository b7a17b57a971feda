"""docker build without BuildKit, and docker builder prune."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Docker


@pytest.fixture(autouse=True)
def classic(docker: Docker) -> Iterator[None]:
    """Have the command use the classic builder; remove the images that a test has made."""
    docker.environment["DOCKER_BUILDKIT"] = "0"
    yield
    for image in docker("images", "-aq", "--no-trunc").split():
        if image != docker("images", "-q", "--no-trunc", docker.image):
            docker.run("rmi", "-f", image)
    docker("builder", "prune", "-af")


@pytest.fixture
def context(docker: Docker, tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("a\n")
    (tmp_path / "not").write_text("no\n")
    (tmp_path / ".dockerignore").write_text("not\n")
    (tmp_path / "Dockerfile").write_text(
        f"ARG NAME=none\nFROM {docker.image} AS first\nARG NAME\nCOPY . /all\n"
        'RUN echo "$NAME" > /name && ls /all\nFROM first\nLABEL x=y\nCMD ["cat", "/name"]\n'
    )
    return tmp_path


def inspect(docker: Docker, name: str) -> Any:
    return json.loads(docker("inspect", name))[0]


def test_a_build_from_a_folder(docker: Docker, context: Path) -> None:
    said = docker("build", "-t", "made:1", "--build-arg", "NAME=me", "--label", "l=1", str(context))
    assert "Step 1/9 : ARG NAME=none" in said
    assert "Removing intermediate container" in said
    assert said.splitlines()[-1] == "Successfully tagged made:1"
    assert docker("run", "--rm", "made:1") == "me"
    assert docker("run", "--rm", "made:1", "ls", "/all").split() == ["Dockerfile", "a.txt"]
    assert inspect(docker, "made:1")["Config"]["Labels"]["l"] == "1"
    again = docker(
        "build", "-t", "made:2", "--build-arg", "NAME=me", "--label", "l=1", str(context)
    )
    assert again.count("Using cache") == 6
    assert inspect(docker, "made:2")["Id"] == inspect(docker, "made:1")["Id"]


def test_a_dockerfile_from_standard_input(docker: Docker) -> None:
    done = docker.run("build", "-q", "-", input=f"FROM {docker.image}\nENV A=b\n")
    assert done.returncode == 0, done.stderr
    assert inspect(docker, done.stdout.strip())["Config"]["Env"][-1] == "A=b"


def test_another_file_and_a_target(docker: Docker, context: Path) -> None:
    (context / "other").write_text(f"FROM {docker.image} AS one\nENV A=1\nFROM one\nRUN false\n")
    docker("build", "-t", "made:3", "-f", str(context / "other"), "--target", "one", str(context))
    assert "A=1" in inspect(docker, "made:3")["Config"]["Env"]


def test_a_step_that_fails_is_the_commands_failure(docker: Docker) -> None:
    done = docker.run("build", "-", input=f"FROM {docker.image}\nRUN exit 7\n")
    assert done.returncode == 7
    assert "The command '/bin/sh -c exit 7' returned a non-zero code: 7" in done.stderr


def test_a_wrong_dockerfile(docker: Docker) -> None:
    done = docker.run("build", "-", input=f"FROM {docker.image}\nRUNN x\n")
    assert done.returncode == 1
    assert "dockerfile parse error on line 2: unknown instruction: RUNN" in done.stderr


def test_history_shows_each_step(docker: Docker, context: Path) -> None:
    docker("build", "-q", "-t", "made:4", str(context))
    steps = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", "made:4").splitlines()
    assert steps[0] == '/bin/sh -c #(nop)  CMD ["cat" "/name"]'
    assert steps[1] == "/bin/sh -c #(nop)  LABEL x=y"
    assert steps[2] == '|1 NAME=none /bin/sh -c echo "$NAME" > /name && ls /all'
    assert steps[3].startswith("/bin/sh -c #(nop) COPY multi:")


def test_the_cache_is_shown_and_pruned(docker: Docker, context: Path) -> None:
    docker("build", "-q", "-t", "made:5", str(context))
    shown = docker("system", "df", "--format", "{{.Type}} {{.TotalCount}}").splitlines()
    assert "Build Cache 5" in shown
    assert "Total" in docker("builder", "prune", "-af")
    shown = docker("system", "df", "--format", "{{.Type}} {{.TotalCount}}").splitlines()
    assert "Build Cache 0" in shown
    assert docker("run", "--rm", "made:5") == "none"
