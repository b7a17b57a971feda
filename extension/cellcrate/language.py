"""The person's language: English or Korean.

The code cells of a lesson are the same in every language. What they print follows the folder that
the notebook is in (`notebooks/ko`), or the environment variable CELLCRATE_LANGUAGE, or the locale.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

__all__ = ["LANGUAGES", "Language", "Words", "language"]

Language = Literal["en", "ko"]
LANGUAGES: tuple[Language, ...] = ("en", "ko")


def language() -> Language:
    """The language to speak now; English where nothing asks for another.

    Jupyter starts a kernel in its notebook's folder, and tells it the notebook's path in
    JPY_SESSION_NAME.
    """
    asked = os.environ.get("CELLCRATE_LANGUAGE", "")
    folders = [Path.cwd().name, Path(os.environ.get("JPY_SESSION_NAME", "")).parent.name]
    locale = [os.environ.get(name, "")[:2] for name in ("LC_ALL", "LC_MESSAGES", "LANG")]
    for candidate in (asked, *folders, *locale):
        for known in LANGUAGES:
            if candidate == known:
                return known
    return "en"


class Words:
    """The sentences of one part of the package, in every language: a folder of JSON files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.catalogue = cache(self._read)

    def _read(self, language: Language) -> dict[str, str]:
        file = self._folder / f"{language}.json"
        return msgspec.json.decode(file.read_bytes(), type=dict[str, str])

    def say(self, key: str, **values: object) -> str:
        """The sentence with that key, in the person's language, with the values put in."""
        return self.catalogue(language())[key].format(**values)
