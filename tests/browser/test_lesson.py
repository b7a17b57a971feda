"""The first lesson as a learner sees it: in JupyterLab, in a browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.conftest import Lab

pytestmark = pytest.mark.peer
SECONDS_FOR_THE_LESSON = 300

# An idle prompt has a number: [7]. One that waits or runs has a star: [*].
ALL_CELLS_HAVE_RUN = """() => {
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')];
    return prompts.length > 0 && prompts.every(prompt => /\\[\\d+\\]/.test(prompt.textContent));
}"""


def run_all(page: Page) -> None:
    """Choose "Run All Cells" from the menu, and wait until the last cell has run."""
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    page.wait_for_function(ALL_CELLS_HAVE_RUN, timeout=SECONDS_FOR_THE_LESSON * 1000)


def output_of(page: Page, code: str) -> Locator:
    """The output of the first code cell that holds this text."""
    return page.locator(".jp-CodeCell").filter(has_text=code).first.locator(".jp-OutputArea").first


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_learner_runs_the_lesson_in_jupyterlab(lab: Lab, page: Page) -> None:
    page.goto(lab.url("ko/01-one-computer.ipynb"))
    run_all(page)

    errors = page.locator('[data-mime-type="application/vnd.jupyter.error"]')
    assert errors.all_inner_texts() == []
    expect(output_of(page, "lessons.computer()")).to_contain_text("컨테이너")
    expect(output_of(page, "alone = lessons.measure")).to_contain_text("은행 혼자(프로세스)")
    expect(output_of(page, '"game.py", "--port", port)')).to_contain_text("EADDRINUSE")
    expect(output_of(page, "%%container")).to_contain_text("I am process number 1 ")
    expect(output_of(page, "lessons.compare").locator("table tbody tr")).to_have_count(3)

    pictures = page.locator('.jp-OutputArea img[alt*="은행과 게임"]')
    expect(pictures).to_have_count(1)
    assert pictures.evaluate("image => image.complete && image.naturalWidth > 0")
    diagram = page.locator('.jp-MarkdownOutput img[alt*="하이퍼바이저"]')
    assert diagram.evaluate("image => image.complete && image.naturalWidth > 0")
