"""A lesson is the same lesson in every language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.notebooks.lesson_files import LANGUAGES, LESSONS, NOTEBOOKS, cells, solution

HANGUL = re.compile(r"[가-힣]")
PICTURE = re.compile(r"!\[([^\]]+)\]\(([^)]+)\)")

every_lesson = pytest.mark.parametrize("lesson", LESSONS)
every_language = pytest.mark.parametrize("language", LANGUAGES)


def test_there_are_lessons_in_every_language() -> None:
    assert "01-one-computer.ipynb" in LESSONS
    for language in LANGUAGES:
        assert sorted(path.name for path in (NOTEBOOKS / language).glob("*.ipynb")) == LESSONS


@every_lesson
def test_code_cells_are_the_same_byte_for_byte(lesson: str) -> None:
    def code(language: str) -> list[tuple[str, str, list[str]]]:
        found = cells(language, lesson, "code")
        return [(cell.id, cell.source, cell.metadata.get("tags", [])) for cell in found]

    assert code("en")
    assert code("en") == code("ko")


@every_lesson
def test_texts_stand_in_the_same_places(lesson: str) -> None:
    shapes = [[(cell.id, cell.cell_type) for cell in cells(name, lesson)] for name in LANGUAGES]
    assert shapes[0] == shapes[1]
    headings = [
        [re.findall(r"^#+", cell.source, re.MULTILINE) for cell in cells(name, lesson, "markdown")]
        for name in LANGUAGES
    ]
    assert headings[0] == headings[1]


@every_lesson
def test_solutions_are_the_same(lesson: str) -> None:
    found = [[solution(c.source) for c in cells(name, lesson, "markdown")] for name in LANGUAGES]
    assert found[0] == found[1]


@every_lesson
@every_language
def test_outputs_are_for_the_learner_to_find(language: str, lesson: str) -> None:
    for cell in cells(language, lesson, "code"):
        assert cell.outputs == []
        assert cell.execution_count is None


@every_lesson
def test_every_text_is_in_its_language(lesson: str) -> None:
    assert all(HANGUL.search(cell.source) for cell in cells("ko", lesson, "markdown"))
    assert not any(HANGUL.search(cell.source) for cell in cells("en", lesson))


@every_lesson
@every_language
def test_pictures_are_there_and_described(language: str, lesson: str) -> None:
    here: Path = NOTEBOOKS / language
    for cell in cells(language, lesson, "markdown"):
        assert cell.source.count("![") == len(PICTURE.findall(cell.source))
        for _, address in PICTURE.findall(cell.source):
            assert (here / address).is_file(), address
