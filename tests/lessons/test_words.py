"""The helpers say the same things in every language."""

from __future__ import annotations

import ast
from pathlib import Path
from string import Formatter

import pytest

from cellcrate import lessons
from cellcrate.lessons.words import LANGUAGES, Language, catalogue, language, say

SOURCES = sorted(Path(lessons.__file__).parent.glob("*.py"))


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


def literal_keys() -> set[str]:
    """The keys that the code says by name."""
    keys = set()
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say":
                keys |= {n.value for n in ast.walk(node.args[0]) if isinstance(n, ast.Constant)}
    return {key for key in keys if isinstance(key, str)}


@pytest.mark.parametrize("other", [name for name in LANGUAGES if name != "en"])
def test_languages_have_the_same_sentences_with_the_same_values(other: Language) -> None:
    english, translated = catalogue("en"), catalogue(other)
    assert english.keys() == translated.keys()
    for key, sentence in english.items():
        assert fields(sentence) == fields(translated[key]), key


def test_everything_that_the_code_says_is_in_the_catalogue() -> None:
    known = {key for key in literal_keys() if "_" in key} - {"column_"}
    assert known
    assert known <= catalogue("en").keys()


@pytest.fixture
def plain_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No environment variable and no folder that asks for a language."""
    for name in ("CELLCRATE_LANGUAGE", "JPY_SESSION_NAME", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("plain_surroundings")
class TestLanguage:
    def test_is_english_where_nothing_asks_for_another(self) -> None:
        assert language() == "en"

    def test_follows_the_folder_of_the_notebook(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "ko").mkdir()
        monkeypatch.chdir(tmp_path / "ko")
        assert language() == "ko"

    def test_follows_the_notebook_that_jupyter_names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JPY_SESSION_NAME", "/home/somebody/notebooks/ko/01.ipynb")
        assert language() == "ko"

    def test_follows_the_locale(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LANG", "ko_KR.UTF-8")
        assert say("running") == "실행 중"

    def test_can_be_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LANG", "ko_KR.UTF-8")
        monkeypatch.setenv("CELLCRATE_LANGUAGE", "en")
        assert say("running") == "running"

    def test_ignores_a_language_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CELLCRATE_LANGUAGE", "../../etc")
        assert language() == "en"
