"""Completion in a kernel, as a notebook asks for it, and the function behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from engines import TestEngine
from notebook import Notebook

from cellcrate import completion, connection


@pytest.fixture(params=[True, False], ids=["jedi", "no jedi"])
def complete(notebook: Notebook, request: pytest.FixtureRequest) -> Callable[[str], list[str]]:
    notebook.run(f"get_ipython().Completer.use_jedi = {request.param}")
    return notebook.complete


@pytest.fixture
def web(engine: TestEngine, notebook: Notebook) -> None:
    notebook.run(f"%%container {engine.options} -d --name web-shop\nsleep 60")


@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("%%container --mem", "%%container --memory-swap"),
        ("%%container --det", "%%container --detach"),
        ("%%container -d --read-", "%%container -d --read-only"),
        ("%%container --pull al", "%%container --pull always"),
        ("%%container --pull=al", "%%container --pull=always"),
        ("%%container --network no", "%%container --network none"),
        ("%%container --runtime run", "%%container --runtime runc"),
        ("%%container --cap-drop AL", "%%container --cap-drop ALL"),
        ("%%container --stop-signal US", "%%container --stop-signal USR1"),
        ("%container in", "%container inspect"),
        ("%container logs --fol", "%container logs --follow"),
        ("%container update --cpu-sh", "%container update --cpu-shares"),
        ("%cellcrate do", "%cellcrate doctor"),
    ],
)
def test_options_their_values_and_commands(complete, line: str, becomes: str):
    assert becomes in complete(line)


def test_images(complete):
    assert "%%container cellcrate/base" in complete("%%container cell")
    assert "%%container -m 64m cellcrate/base" in complete("%%container -m 64m cellcrate/b")
    assert "%%container --image cellcrate/base" in complete("%%container --image ce")


def test_containers(complete, web):
    for line in ("%container logs ", "%container stop -t 3 ", "%container exec "):
        assert f"{line}web-shop" in complete(f"{line}web"), line
        assert f"{line}web-shop" in complete(f"{line}web-s"), line
        assert f"{line}web-shop" in complete(line), line
    assert "%container cp web-shop:" in complete("%container cp web")


def test_paths(complete, tmp_path: Path):
    (tmp_path / "folder-one").mkdir()
    assert f"%%container -v {tmp_path}/folder-one/" in complete(f"%%container -v {tmp_path}/fol")


def test_a_command_of_the_container_is_left_alone(complete):
    line = "%%container cellcrate/base ls --mem"
    assert f"{line}ory" not in complete(line)


def test_python_cells_complete_as_before(complete, notebook: Notebook):
    notebook.run("a_long_name = 1")
    assert "a_long_name" in complete("a_long_n")


def test_without_an_engine_it_is_quiet_and_starts_none(tmp_path: Path, monkeypatch):
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("CELLCRATE_HOST", raising=False)
    monkeypatch.setenv("CELLCRATE_HOME", str(tmp_path))
    completion.forget_names()
    assert completion.complete("%container logs w") == []
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("CELLCRATE_HOST", f"unix://{tmp_path}/nothing.sock")
    assert completion.complete("%container logs w") == []
    connection.forget()


@pytest.mark.parametrize(
    "line",
    ["%container", "%container ", "%%container --memory=", "%container nosuch x", "%container 'a"],
)
def test_unfinished_lines_do_no_harm(line: str, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("CELLCRATE_HOME", str(tmp_path))
    monkeypatch.delenv("CELLCRATE_HOST", raising=False)
    assert isinstance(completion.complete(line), list)
