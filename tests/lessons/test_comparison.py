"""Measurements side by side, as a table and as a picture, in both languages."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from matplotlib import font_manager, image

from cellcrate.lessons import LessonError, Measurement, compare, journal, reveal
from cellcrate.lessons.containers import Limits
from cellcrate.lessons.plots import HANGUL_FONTS
from cellcrate.lessons.reports import BankSecond, GameSecond

SECOND = BankSecond(1, 4, 0, 2.0, 4.0, 100_000)
ALONE = Measurement("processes", [SECOND], [2, 2, 2, 4])
TOGETHER = Measurement("processes", [SECOND], [5, 6, 9, 40], [GameSecond(1, 8, 12345, 0)])
CONTAINED = Measurement(
    "containers",
    [SECOND],
    [2, 3, 3, 6],
    [GameSecond(1, 8, 3000, 0)],
    Limits(cpus=0.5, shares=None, memory=None),
)


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CELLCRATE_LANGUAGE", "en")
    journal.forget()
    yield
    journal.forget()


def test_without_a_choice_the_story_of_the_lesson_is_compared() -> None:
    journal.remember(TOGETHER, [])
    journal.remember(ALONE, [])
    assert compare().measurements == (ALONE, TOGETHER)


def test_without_a_measurement_there_is_nothing_to_compare() -> None:
    with pytest.raises(LessonError, match="Nothing has been measured yet"):
        compare()


def test_the_table_has_a_row_for_each_and_compares_with_the_first() -> None:
    table = compare(ALONE, TOGETHER, CONTAINED)
    assert [table.ratio(m) for m in table.measurements] == [1, 10, 1.5]
    lines = repr(table).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("Bank and game (processes) | 4 | 6.0 | 40.0 | ")
    assert lines[2].endswith("10.0 | 12,345")
    html = table._repr_html_()
    assert html.count("<tr>") == 4
    assert "at most 0.5 CPU" in html


def test_the_table_speaks_korean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLCRATE_LANGUAGE", "ko")
    assert "은행 혼자(프로세스)" in repr(compare(ALONE))


@pytest.mark.parametrize(
    ("guess", "answer"),
    [(10, "Well guessed"), (2, "worse than you thought"), (100, "not as bad")],
)
def test_a_guess_is_compared_with_what_was_measured(
    guess: float, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    reveal(guess, ALONE, TOGETHER)
    said = capsys.readouterr().out
    assert "10.0 times as long" in said
    assert answer in said


def test_the_picture_is_a_png_that_describes_itself() -> None:
    picture = compare(ALONE, TOGETHER, CONTAINED).plot()
    pixels = image.imread(BytesIO(picture.png), format="png")
    assert pixels.shape[1] == 2 * picture.width
    assert "99 % within 40.0 ms" in picture.description
    assert f'width="{picture.width}" alt="bank alone' in picture._repr_html_()


def test_each_measurement_has_a_colour_of_its_own() -> None:
    def colours(*measurements: Measurement) -> int:
        pixels = image.imread(BytesIO(compare(*measurements).plot().png), format="png")
        colourful = pixels[pixels[..., :3].std(axis=-1) > 0.2]
        return len(np.unique(colourful, axis=0))

    assert 0 < colours(ALONE) < colours(ALONE, TOGETHER)


# A glyph that no font has is a warning of matplotlib's, and warnings are errors here.
@pytest.mark.parametrize("hangul", [True, False])
def test_a_korean_picture_draws_only_letters_that_a_font_has(
    monkeypatch: pytest.MonkeyPatch, hangul: bool
) -> None:
    monkeypatch.setenv("CELLCRATE_LANGUAGE", "ko")
    installed = {font.name for font in font_manager.fontManager.ttflist}
    if hangul and installed.isdisjoint(HANGUL_FONTS):
        pytest.skip("no font with Hangul is installed")
    if not hangul:
        monkeypatch.setattr("cellcrate.lessons.plots.HANGUL_FONTS", ())
    picture = compare(ALONE, CONTAINED).plot()
    assert "은행 혼자" in picture.description
