"""The lessons on disk, and copies of them to run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat

__all__ = ["LANGUAGES", "LESSONS", "NOTEBOOKS", "cells", "copy", "solution", "solve"]

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
LANGUAGES = ("en", "ko")
LESSONS = sorted(path.name for path in (NOTEBOOKS / "en").glob("*.ipynb"))

_SOLUTION = re.compile(r"<details>.*?```python\n(.*?)```.*?</details>", re.DOTALL)


def read(language: str, lesson: str) -> Any:
    """The notebook, checked against the notebook format."""
    notebook = nbformat.read(NOTEBOOKS / language / lesson, as_version=4)
    nbformat.validate(notebook)
    return notebook


def cells(language: str, lesson: str, kind: str | None = None) -> list[Any]:
    """The notebook's cells, all of them or those of one kind ("code" or "markdown")."""
    return [c for c in read(language, lesson).cells if kind in (None, c.cell_type)]


def solution(text: str) -> str | None:
    """The code under "Solution" in a markdown cell; None if it has none."""
    found = _SOLUTION.search(text)
    return found[1] if found else None


def solve(notebook: Any) -> int:
    """Play the learner: put each solution into the exercise cell before it; how many there were."""
    exercise = None
    solved = 0
    for cell in notebook.cells:
        if "exercise" in cell.metadata.get("tags", []):
            exercise = cell
        elif cell.cell_type == "markdown" and (code := solution(cell.source)) is not None:
            assert exercise is not None, "a solution without an exercise"
            exercise.source, exercise = code, None
            solved += 1
    assert exercise is None, "an exercise without a solution"
    return solved


def copy(language: str, lesson: str, folder: Path, *, solved: bool, last_cell: str = "") -> Path:
    """A copy in `folder`/`language`, where the helpers find out the language."""
    notebook = read(language, lesson)
    if solved:
        assert solve(notebook) > 0
    if last_cell:
        notebook.cells.append(nbformat.v4.new_code_cell(last_cell))
    path = folder / language / lesson
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path
