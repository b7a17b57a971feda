"""Images as a person sees them in JupyterLab: a build, its layers, a file, the bars of a pull."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.conftest import Lab
from tests.browser.test_lesson import output_of, run_all

sys.path.insert(0, str(Path(__file__).parents[1] / "extension"))

from engines import TestEngine, docker_engine

from images.registries import Registry

pytestmark = [pytest.mark.peer, pytest.mark.root, pytest.mark.slow]

DOCKERFILE = (
    "FROM cellcrate/base\nRUN seq 300000 > /numbers; echo made\n"
    "RUN echo changed >> /etc/passwd\nCMD cat /numbers"
)


@pytest.fixture
def engine() -> Iterator[TestEngine]:
    with docker_engine() as started:
        yield started


@pytest.fixture
def open_notebook(lab: Lab, page: Page, engine: TestEngine) -> Callable[..., None]:
    """Open a notebook with these cells, and run it."""

    def run(*cells: str, language: str = "en") -> None:
        document = nbformat.v4.new_notebook()
        document.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3 (ipykernel)",
        }
        first = (
            f"import os; os.environ.update({engine.environment!r})\n"
            f"os.environ['CELLCRATE_LANGUAGE'] = {language!r}\n%load_ext cellcrate"
        )
        document.cells = [nbformat.v4.new_code_cell(text) for text in (first, *cells)]
        nbformat.write(document, lab.folder / "images.ipynb")
        page.goto(lab.url("images.ipynb"))
        run_all(page)

    return run


def press(output: Locator, name: str) -> None:
    output.get_by_role("button", name=name).first.click()


@pytest.mark.timeout(300)
def test_a_build_its_layers_and_a_file_in_them(open_notebook, page: Page):
    open_notebook(f"%%image tests/app --network none\n{DOCKERFILE}")
    output = output_of(page, "%%image")
    expect(output.get_by_role("status")).to_contain_text("Built tests/app: 4 steps")
    expect(output.get_by_text("made", exact=True)).to_be_hidden()
    output.get_by_text("output: 1 line").first.click()
    expect(output.get_by_text("made", exact=True)).to_be_visible()

    layers = output.get_by_role("list").first.get_by_role("listitem")
    expect(layers).to_have_count(4)
    expect(layers.nth(1)).to_contain_text("1 changed")
    expect(layers.nth(2)).to_contain_text("/numbers")
    expect(layers.nth(3)).to_contain_text("shared with cellcrate/base:latest")

    output.locator(".jupyter-widget-Collapse-header").click()
    press(output, "▸ etc/")
    press(output, "passwd")
    expect(output.get_by_text("changed", exact=False).last).to_be_visible()
    expect(output.locator("pre").last).to_contain_text("root:x:0:0")


@pytest.mark.timeout(300)
def test_a_pull_has_a_bar_for_each_layer(open_notebook, page: Page, tmp_path: Path):
    with Registry(tmp_path / "registry") as registry:
        name = registry.name("tests/app")
        open_notebook(
            f"%%image {name} --network none\n{DOCKERFILE}",
            f"%image push {name}",
            f"%image rm -f {name}",
            f"%image pull {name}",
            language="ko",
        )
        output = output_of(page, "%image pull")
        summary = output.locator("summary").first
        expect(summary).to_contain_text("가져옴: 레이어 3개")
        bars = output.get_by_role("progressbar")
        expect(bars.first).to_be_hidden()
        summary.click()
        expect(bars).to_have_count(3)
        for bar in bars.all():
            expect(bar).to_be_visible()
            assert bar.get_attribute("aria-valuenow") == "100"
