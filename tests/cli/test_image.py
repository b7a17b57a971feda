"""``cellcrate image`` works on the store, with no engine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from cli.conftest import COMMAND, Cellcrate


def test_a_program_is_packed_listed_and_removed(cellcrate: Cellcrate) -> None:
    packed = cellcrate("image", "pack", "ls", "--tag", "quay.io/me/ls:1")
    assert packed.stdout.startswith("Packed quay.io/me/ls:1: ")
    [heading, line] = cellcrate("image", "ls").stdout.splitlines()
    assert heading.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert line.split()[:2] == ["quay.io/me/ls", "1"]
    short = cellcrate("image", "ls", "-q").stdout.strip()
    [image] = json.loads(cellcrate("image", "inspect", short).stdout)
    assert image["RepoTags"] == ["quay.io/me/ls:1"]
    assert cellcrate("image", "ls", "-q", "--no-trunc").stdout.strip() == image["Id"]
    assert image["Config"]["Entrypoint"][0].endswith("/ls")
    assert "cellcrate image pack ls" in cellcrate("image", "history", short).stdout
    cellcrate("image", "tag", short, "other")
    assert cellcrate("image", "rm", "other").stdout == "Untagged: other:latest\n"
    removed = cellcrate("image", "rm", short).stdout.splitlines()
    assert removed[:2] == ["Untagged: quay.io/me/ls:1", f"Deleted: {image['Id']}"]
    assert json.loads(cellcrate("image", "ls", "--json").stdout) == []


def test_the_base_image(cellcrate: Cellcrate, tmp_path: Path) -> None:
    first = cellcrate("image", "pack", "--base")
    assert "Packed cellcrate/base:latest" in first.stdout
    assert "this machine" in first.stderr
    (tmp_path / "bank.py").write_text("print('money')")
    packed = cellcrate(
        "image", "pack", "--from", "cellcrate/base", "--add", f"{tmp_path}/bank.py:/srv/",
        "--cmd", "python3 '/srv/bank.py'", "--env", "A=b=c", "--workdir", "/srv", "--tag", "bank",
        "--quiet",
    )  # fmt: skip
    [image] = json.loads(cellcrate("image", "inspect", "bank").stdout)
    assert packed.stdout.strip() == image["Id"]
    assert image["Config"]["Cmd"] == ["python3", "/srv/bank.py"]
    assert image["Config"]["Env"][-1] == "A=b=c"
    assert len(image["RootFS"]["Layers"]) == 3


@pytest.mark.parametrize(
    ("option", "words"),
    [('["a b", "c"]', ["a b", "c"]), ("'a b' c", ["a b", "c"]), ("[]", []), ("", [])],
)
def test_commands_are_lists_or_words(cellcrate: Cellcrate, option: str, words: list[str]) -> None:
    cellcrate("image", "pack", "true", "--tag", "x", "--entrypoint", option)
    [image] = json.loads(cellcrate("image", "inspect", "x").stdout)
    assert image["Config"]["Entrypoint"] == words


def test_images_travel_through_a_pipe_and_a_file(
    cellcrate: Cellcrate, environment: dict[str, str], tmp_path: Path
) -> None:
    cellcrate("image", "pack", "true", "--tag", "x:1")
    save = [*COMMAND, "image", "save", "x:1"]
    archive = subprocess.run(save, env=environment, capture_output=True, check=True).stdout
    file = tmp_path / "x.tar"
    cellcrate("image", "save", "x:1", "--output", str(file))
    assert file.read_bytes() == archive
    cellcrate("image", "rm", "x:1")
    load = [*COMMAND, "image", "load"]
    loaded = subprocess.run(load, env=environment, input=archive, capture_output=True, check=True)
    assert loaded.stdout == b"Loaded image: x:1\n"
    assert cellcrate("image", "load", "-i", str(file)).stdout == "Loaded image: x:1\n"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("image", "inspect", "nope"), 1, "No such image: nope:latest"),
        (("image", "rm", "nope"), 1, "No such image: nope:latest"),
        (("image", "history", "Not Good"), 1, "invalid reference format"),
        (("image", "save", "nope", "-o", "/tmp/never-written.tar"), 1, "No such image"),
        (("image", "load", "-i", "/nope.tar"), 1, "No such file"),
        (("image", "load", "-i", "/etc/passwd"), 1, "not an archive"),
        (("image", "tag", "nope", "x"), 1, "No such image"),
        (("image", "pack"), 1, "nothing to pack"),
        (("image", "pack", "no-such-program"), 1, "cannot find the program"),
        (("image", "pack", "true", "--cmd", "'open"), 2, "No closing quotation"),
        (("image", "pack", "true", "--cmd", "[1]"), 2, "must be a text"),
        (("image", "pack", "true", "--cmd", "[oops"), 2, "--cmd"),
        (("image", "pack", "true", "--base"), 2, "nothing else"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_errors_say_what_is_wrong(
    cellcrate: Cellcrate, words: tuple[str, ...], status: int, said: str
) -> None:
    done = cellcrate(*words, status=status)
    assert said in done.stderr
    assert done.stderr.startswith("cellcrate: ")
    assert done.stdout == ""
    assert not Path("/tmp/never-written.tar").exists()


def test_one_missing_image_does_not_keep_the_others(cellcrate: Cellcrate) -> None:
    cellcrate("image", "pack", "true", "--tag", "x")
    done = cellcrate("image", "rm", "nope", "x", status=1)
    assert "Untagged: x:latest" in done.stdout
    assert "No such image: nope" in done.stderr


def test_the_name_may_come_before_two_dashes(cellcrate: Cellcrate) -> None:
    packed = cellcrate("image", "pack", "my/name:1", "-e", "A=1", "--", "ls", "cat")
    assert packed.stdout.startswith("Packed my/name:1: ")
    [image] = json.loads(cellcrate("image", "inspect", "my/name:1").stdout)
    assert "A=1" in image["Config"]["Env"]
    assert cellcrate("image", "pack", "--", "true").stdout.startswith("Packed true:latest: ")
    for words in (["two", "names", "--", "ls"], ["one", "-t", "two", "--", "ls"]):
        assert "one name at most" in cellcrate("image", "pack", *words, status=2).stderr
