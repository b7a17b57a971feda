"""``cellcrate image build`` has the engine build a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Cellcrate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("a\n")
    (tmp_path / "not").write_text("no\n")
    (tmp_path / ".dockerignore").write_text("not\nDockerfile\n")
    (tmp_path / "Dockerfile").write_text(
        "FROM cellcrate/base AS one\nARG A=1\nCOPY . /all\nRUN ls -A /all; echo A=$A\n"
        "FROM one\nRUN --mount=type=secret,id=s,required=true wc -c < /run/secrets/s; exit 5\n"
    )
    return tmp_path


def test_a_stage_is_built_and_cached(cellcrate: Cellcrate, folder: Path) -> None:
    words = ("image", "build", "-t", "made:1", "--build-arg", "A=2", "--target", "one", str(folder))
    said = cellcrate(*words).stdout
    assert "\n.dockerignore\na.txt\nA=2\n" in said
    assert said.endswith("Successfully tagged made:1\n")
    assert cellcrate(*words).stdout.count("Using cache") == 3
    image_id = cellcrate(*words, "-q").stdout.strip()
    assert cellcrate("image", "ls", "-q", "--no-trunc").stdout.split()[0] == image_id


def test_a_step_that_fails_is_the_commands_status(cellcrate: Cellcrate, folder: Path) -> None:
    (folder / "secret").write_text("123456")
    secret = f"id=s,src={folder}/secret"
    failed = cellcrate("image", "build", "--secret", secret, str(folder), status=5)
    assert "\n6\n" in failed.stdout
    assert "returned a non-zero code: 5" in failed.stderr


def test_mistakes(cellcrate: Cellcrate, folder: Path) -> None:
    assert "is not a folder" in cellcrate("image", "build", "none", status=1).stderr
    words = ("image", "build", "--secret", "id=s,src=none", str(folder))
    assert "--secret s: none: No such file" in cellcrate(*words, status=1).stderr
    (folder / "Dockerfile").write_text("FROM cellcrate/base\nRUNN x\n")
    failed = cellcrate("image", "build", str(folder), status=1)
    assert "dockerfile parse error on line 2: unknown instruction: RUNN" in failed.stderr
