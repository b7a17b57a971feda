"""Cells against an engine behind TCP and TLS, as CELLCRATE_HOST and docker's variables name it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from engines import DOCKER, TestEngine
from notebook import Notebook

pytestmark = pytest.mark.parametrize("engine", [DOCKER], indirect=True)


@pytest.fixture
def distant(engine: TestEngine, new_notebook: Callable[..., Notebook]) -> Callable[[str, str], str]:
    """A notebook whose cells run in an engine that TLS leads to."""
    environment = {
        "CELLCRATE_HOST": f"tcp://127.0.0.1:{engine.port}",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": str(engine.certificates),
    }
    notebook = new_notebook(environment)

    def run(options: str, text: str) -> str:
        cell = notebook.run(f"%%container {engine.options} {options}\n{text}")
        assert cell.status == "ok", cell
        return cell.stdout

    return run


def test_output_comes_whole(distant):
    assert distant("", "echo hello") == "hello\n"
    assert distant("--python", "print('한국어 ' * 50000, end='')") == "한국어 " * 50000


def test_input_is_closed_while_output_still_comes(distant):
    text = "0123456789abcde\n" * 20000
    assert distant("cellcrate/base sh -c 'wc -c; sleep 0.3; echo end'", text).split() == [
        str(len(text)),
        "end",
    ]
