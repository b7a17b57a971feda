"""What the lesson's helpers say, in English or in Korean."""

from __future__ import annotations

from pathlib import Path

from cellcrate.language import LANGUAGES, Language, Words, language

__all__ = ["LANGUAGES", "Language", "catalogue", "language", "say"]

_words = Words(Path(__file__).parent / "messages")
catalogue = _words.catalogue
say = _words.say
