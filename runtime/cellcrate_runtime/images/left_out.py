"""What a layer has and its folder on disk has not, in words, however much of it there is."""

from __future__ import annotations

from cellcrate_runtime.images.errors import printable

__all__ = ["LeftOut"]

_MOST_NAMES = 10
_MOST_REASONS = 100


class LeftOut:
    """A collection of names and reasons: of each reason the first names, and how many there are."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}
        self._more: dict[str, int] = {}

    def add(self, name: str, reason: str) -> None:
        """Note that the entry ``name`` was left out, or in which respect: a noun, and why."""
        if reason not in self._names and len(self._names) >= _MOST_REASONS:
            reason = "for other reasons"
        names = self._names.setdefault(reason, [])
        if len(names) < _MOST_NAMES:
            names.append(name)
        else:
            self._more[reason] = self._more.get(reason, 0) + 1

    def sentences(self) -> list[str]:
        """All notes, one for each name that is kept."""
        said = []
        for reason, names in self._names.items():
            said += [f"{printable(name)} ({reason})" for name in names]
            if more := self._more.get(reason):
                said.append(f"{more} more ({reason})")
        return said
