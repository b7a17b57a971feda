"""What is said of images, in English or in Korean."""

from __future__ import annotations

from pathlib import Path

from cellcrate.language import Words

__all__ = ["catalogue", "say"]

_words = Words(Path(__file__).parent / "messages")
catalogue = _words.catalogue
say = _words.say
