"""The ``filters`` parameter of the Docker Engine API.

It is a JSON object from a filter's name to its values. Clients of today write the values as a
list, ``{"label": ["a=b"]}``; older ones as the members of an object, ``{"label": {"a=b": true}}``.

Source: Docker Engine API reference, "filters"; the wording of errors is Docker's, because
programs look at it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import msgspec

from cellcrate_runtime.engine.errors import BadRequestError

__all__ = ["Filters", "InvalidFilterError"]


class InvalidFilterError(BadRequestError):
    """A filter that there is not, or a value it cannot have."""


class Filters:
    """What a list, a prune or a stream of events is narrowed to.

    Each matching method answers yes when its filter was not given, so a caller asks them all.
    """

    def __init__(self, values: Mapping[str, Collection[str]] | None = None) -> None:
        self._values = {name: tuple(given) for name, given in (values or {}).items()}

    @classmethod
    def parse(cls, text: str | None, accepted: Collection[str]) -> Filters:
        """Return the filters of a query parameter.

        Raises:
            InvalidFilterError: The text is not a JSON object of filters, or names a filter that is
                not among *accepted*.
        """
        if not text:
            return cls()
        try:
            form: dict[str, dict[str, bool] | list[str] | None]
            form = msgspec.json.decode(text, type=dict[str, dict[str, bool] | list[str] | None])
        except msgspec.DecodeError as error:
            raise InvalidFilterError(f"invalid filter: {error}") from None
        filters = cls({name: _given(values) for name, values in form.items()})
        for name in filters._values:
            if name not in accepted:
                raise InvalidFilterError(f"invalid filter '{name}'")
        return filters

    def __contains__(self, name: str) -> bool:
        return bool(self._values.get(name))

    def __repr__(self) -> str:
        return f"Filters({self._values!r})"

    def values(self, name: str) -> tuple[str, ...]:
        """Return the values of a filter, of which one must hold unless its meaning says all."""
        return self._values.get(name, ())

    def exact(self, name: str, *candidates: str) -> bool:
        """Tell whether one of the candidates is one of the values."""
        return name not in self or not set(candidates).isdisjoint(self._values[name])

    def prefix(self, name: str, *candidates: str) -> bool:
        """Tell whether one of the candidates begins with one of the values."""
        return name not in self or any(c.startswith(self._values[name]) for c in candidates)

    def pattern(self, name: str, *candidates: str) -> bool:
        """Tell whether one of the values, a regular expression, is found in a candidate.

        Raises:
            InvalidFilterError: A value is not a regular expression.
        """
        if name not in self or not set(candidates).isdisjoint(self._values[name]):
            return True
        try:
            return any(re.search(v, c) for v in self._values[name] for c in candidates)
        except re.error as error:
            raise InvalidFilterError(
                f"invalid filter '{name}={self._shown(name)}': {error}"
            ) from None

    def labels(self, labels: Mapping[str, str], name: str = "label") -> bool:
        """Tell whether all values, ``key`` or ``key=value``, are among the labels."""
        return all(_has_label(labels, wanted) for wanted in self.values(name))

    def without_labels(self, labels: Mapping[str, str], name: str = "label!") -> bool:
        """Tell whether the labels lack one of the values at least, as ``prune`` asks."""
        return name not in self or not all(_has_label(labels, w) for w in self.values(name))

    def flag(self, name: str, default: bool = False) -> bool:
        """Return the value of a filter that is true or false.

        Raises:
            InvalidFilterError: It was given another value, or both.
        """
        given = set(self.values(name))
        if not given:
            return default
        if given <= {"1", "true"}:
            return True
        if given <= {"0", "false"}:
            return False
        raise InvalidFilterError(f"invalid filter '{name}={self._shown(name)}'")

    def choices(self, name: str, allowed: Collection[str]) -> tuple[str, ...]:
        """Return the values of a filter that has only certain values.

        Raises:
            InvalidFilterError: One of the values is another one.
        """
        for value in self.values(name):
            if value not in allowed:
                raise InvalidFilterError(
                    f"invalid filter '{name}={self._shown(name)}': "
                    f"it can be {', '.join(sorted(allowed))}"
                )
        return self.values(name)

    def single(self, name: str) -> str | None:
        """Return the value of a filter that can be given once, or None.

        Raises:
            InvalidFilterError: It was given more than once.
        """
        values = self.values(name)
        if len(values) > 1:
            raise InvalidFilterError(
                f"invalid filter '{name}={self._shown(name)}': it can be given only once"
            )
        return values[0] if values else None

    def _shown(self, name: str) -> str:
        return f"[{' '.join(self.values(name))}]"


def _given(values: dict[str, bool] | list[str] | None) -> list[str]:
    if isinstance(values, dict):
        return [value for value, set_ in values.items() if set_]
    return values or []


def _has_label(labels: Mapping[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)
