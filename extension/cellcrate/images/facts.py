"""What is known of an image: its name, its settings, its steps."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cellcrate.images.words import say

__all__ = ["SHORT_ID", "Facts"]

SHORT_ID = 12


@dataclass(frozen=True, slots=True)
class Facts:
    """An engine's description of an image (ImageInspect), as a person wants to read it.

    Attributes:
        name: Its name; where it has several, the one that was asked for.
        id: Its id.
        size: The bytes of its files.
        platform: Such as linux/amd64.
        created: When it was made, to the minute.
        settings: What containers of it get unless they are told otherwise, as (word, value).
        environment: The variables that they get.
    """

    name: str
    id: str
    size: int
    platform: str
    created: str
    settings: tuple[tuple[str, str], ...]
    environment: tuple[str, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any], name: str = "") -> Facts:
        """Read an engine's description."""
        tags = document.get("RepoTags") or []
        config = document.get("Config") or {}
        parts = (document.get(key) for key in ("Os", "Architecture", "Variant"))
        return cls(
            name=name or next(iter(tags), ""),
            id=str(document["Id"]),
            size=int(document.get("Size") or 0),
            platform="/".join(str(part) for part in parts if part),
            created=_minute(str(document.get("Created") or "")),
            settings=tuple(_settings(config)),
            environment=tuple(config.get("Env") or ()),
        )

    @property
    def short_id(self) -> str:
        """The first letters of its id, as lists show it."""
        return self.id.removeprefix("sha256:")[:SHORT_ID]

    @property
    def title(self) -> str:
        """Its name, or that it has none."""
        return self.name or say("no_name")


def _minute(moment: str) -> str:
    # RFC 3339; an image of a reproducible build may say 1970, and Docker's year 1 means "unknown".
    if len(moment) < 16 or moment.startswith("0001"):
        return ""
    return f"{moment[:10]} {moment[11:16]}" + (" UTC" if moment.endswith("Z") else "")


def _settings(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = (
        ("entrypoint", _command(config.get("Entrypoint"))),
        ("command", _command(config.get("Cmd"))),
        ("user", str(config.get("User") or "")),
        ("workdir", str(config.get("WorkingDir") or "")),
        ("ports", ", ".join(sorted(config.get("ExposedPorts") or ()))),
        ("volumes", ", ".join(sorted(config.get("Volumes") or ()))),
    )
    return [(say(word), value) for word, value in found if value]


def _command(words: Sequence[str] | None) -> str:
    return shlex.join(words or ())
