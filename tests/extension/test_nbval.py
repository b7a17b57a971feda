"""Notebooks with these magics can be tested with nbval: what is saved comes out again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
from engines import TestEngine
from notebook import Notebook

CELLS = (
    "%load_ext cellcrate",
    "%%container {options}\necho hello",
    "%%container {options} -d --name val --replace -l a=b\nsleep 60",
    "%container logs val",
    "%container rm -f val",
    "%%container {options} --no-raise-error\nexit 3",
)


def test_the_same_outputs_come_twice(notebook: Notebook, engine: TestEngine, tmp_path: Path):
    document = nbformat.v4.new_notebook()
    document.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    document.cells = [
        nbformat.v4.new_code_cell(text.format(options=engine.options)) for text in CELLS
    ]
    path = tmp_path / "test.ipynb"
    nbformat.write(document, path)
    python = [sys.executable, "-m"]
    run = {"cwd": tmp_path, "env": notebook.environment, "capture_output": True, "text": True}
    executed = subprocess.run(
        [*python, "jupyter", "nbconvert", "--to", "notebook", "--execute", "--inplace", str(path)],
        **run,
    )
    assert executed.returncode == 0, executed.stderr
    saved = nbformat.read(path, as_version=4)
    assert "hello" in saved.cells[1].outputs[0].text
    assert saved.cells[2].outputs[0].data["text/plain"].startswith("<container val: running")
    again = subprocess.run(
        [*python, "pytest", "--nbval", "-q", "-p", "no:cacheprovider", str(path)], **run
    )
    assert again.returncode == 0, again.stdout
