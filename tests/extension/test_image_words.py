"""What is said of images is the same in every language."""

from __future__ import annotations

import ast
from pathlib import Path
from string import Formatter

import pytest

from cellcrate import images
from cellcrate.images.progress import STATES
from cellcrate.images.words import catalogue
from cellcrate.language import LANGUAGES, Language

SOURCES = sorted(Path(images.__file__).parent.rglob("*.py"))


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


@pytest.mark.parametrize("other", [name for name in LANGUAGES if name != "en"])
def test_languages_have_the_same_sentences_with_the_same_values(other: Language):
    english, translated = catalogue("en"), catalogue(other)
    assert english.keys() == translated.keys()
    for key, sentence in english.items():
        assert fields(sentence) == fields(translated[key]), key


def test_everything_that_is_said_is_in_the_catalogue_and_nothing_else():
    texts = {
        node.value
        for source in SOURCES
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    states = {f"state_{state}" for state in (*STATES.values(), "retrying")}
    steps = {f"step_{state}" for state in ("running", "cached", "failed", "interrupted")}
    unsaid = catalogue("en").keys() - texts - states - steps
    assert not unsaid
    assert states | steps <= catalogue("en").keys()
