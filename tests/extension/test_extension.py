"""The extension as a whole: loading, documentation, engines that are not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from engines import TestEngine
from notebook import ROOT, Notebook

from cellcrate import connection
from cellcrate.errors import EngineUnreachable


def test_loading_imports_nothing_slow():
    code = (
        "import sys, threading\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "import cellcrate, cellcrate.warmup\n"
        "cellcrate.warmup.begin = lambda: None\n"
        "shell = InteractiveShell.instance()\n"
        "before = set(sys.modules)\n"
        "cellcrate.load_ipython_extension(shell)\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new & {'docker', 'requests', 'urllib3', 'ipywidgets', 'msgspec', 'tornado'}))"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}/extension:{ROOT}/runtime"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_loading_prints_nothing_even_where_no_engine_can_be_had(new_notebook, tmp_path: Path):
    notebook: Notebook = new_notebook(
        {"CELLCRATE_HOST": f"unix://{tmp_path}/nothing.sock"}, load=False
    )
    cell = notebook.run("%load_ext cellcrate")
    assert (cell.status, cell.stdout, cell.stderr) == ("ok", "", "")
    cell = notebook.run("import time; time.sleep(1)")
    assert (cell.stdout, cell.stderr) == ("", "")
    cell = notebook.run("%%container\ntrue")
    assert cell.error_name == "EngineUnreachable"
    assert "nothing.sock" in cell.error
    assert "CELLCRATE_HOST" in cell.error
    assert len(cell.traceback) == 1


def test_documentation_holds_every_option(notebook: Notebook):
    text = notebook.documentation("%%container")
    for word in ("--memory", "--no-raise-error", "--detach", "CELLCRATE_HOST", "stop button"):
        assert word in text
    text = notebook.documentation("%container")
    for word in ("logs", "--follow", "--signal", "prune"):
        assert word in text
    assert "doctor" in notebook.documentation("%cellcrate")


def test_version_and_address(notebook: Notebook, engine: TestEngine):
    text = notebook.run("%cellcrate version").stdout
    assert "cellcrate" in text
    assert str(engine.socket) in text
    assert notebook.run("%cellcrate env").stdout == f"export DOCKER_HOST=unix://{engine.socket}\n"
    assert "doctor, version, env" in notebook.run("%cellcrate nosuch").error
    assert "takes no more" in notebook.run("%cellcrate env x").error
    assert "%cellcrate doctor" in notebook.run("%cellcrate").stdout


def test_the_doctor_looks(notebook: Notebook):
    cell = notebook.run("%cellcrate doctor", timeout=120)
    assert cell.status == "ok"
    assert "cgroup" in cell.stdout.lower()


def test_the_client_is_docker_pys(notebook: Notebook):
    assert notebook.run("import cellcrate\ncellcrate.client().ping()").text == "True"


def test_unloading_takes_the_magics_away(new_notebook, engine: TestEngine):
    notebook: Notebook = new_notebook(engine.environment)
    assert notebook.run("%unload_ext cellcrate").status == "ok"
    assert "not found" in notebook.run("%container ps").stderr
    assert notebook.run("%load_ext cellcrate\n%container ps").status == "ok"


def test_the_environment_chooses_the_engine(monkeypatch):
    for name in ("CELLCRATE_HOST", "DOCKER_HOST"):
        monkeypatch.delenv(name, raising=False)
    assert connection.address() == ""
    monkeypatch.setenv("DOCKER_HOST", "unix:///docker")
    assert connection.address() == "unix:///docker"
    monkeypatch.setenv("CELLCRATE_HOST", "tcp://other:2375")
    assert connection.address() == "tcp://other:2375"
    monkeypatch.setenv("CELLCRATE_HOST", "embedded")
    assert connection.address() == ""


@pytest.mark.parametrize("host", ["nonsense://x", "unix:///nowhere/docker.sock"])
def test_an_address_that_leads_nowhere_is_named(monkeypatch, host: str):
    monkeypatch.setenv("DOCKER_HOST", host)
    monkeypatch.delenv("CELLCRATE_HOST", raising=False)
    with pytest.raises(EngineUnreachable, match="correct DOCKER_HOST") as raised:
        connection.engine()
    assert host in str(raised.value)
