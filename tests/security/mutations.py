"""Documents in which one member is not what it should be, for hypothesis to choose."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

__all__ = ["few", "one_thing_wrong"]

Path = tuple[str | int, ...]

_NUMBERS = st.sampled_from(
    [-(1 << 63), -2, -1, 0, 1, 4096, 1 << 31, 1 << 32, 1 << 63, 1 << 64, 1.5]
)
_PATHS = ["", ".", "..", "/", "/..", "/proc/self/fd/3", "../../etc", "x" * 300, "/" + "x/" * 2100]
_WORDS = ["a b", "a=b", "\0", "\n", "é\u202e", "%s%n", "$(id)", "-1", "host", "container:", "rw,ro"]
_TEXTS = st.sampled_from([*_PATHS, *_WORDS, "☃" * 65])
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    _NUMBERS,
    _TEXTS,
    st.text(max_size=8),
    st.lists(_TEXTS, max_size=2),
    st.dictionaries(_TEXTS, _TEXTS | _NUMBERS, max_size=2),
)


def few(examples: int) -> settings:
    """The same examples at every run, so many of them."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def one_thing_wrong(draw: st.DrawFn, document: Any) -> Any:
    """A copy of a JSON document with one of its values changed, missing, or there twice."""
    changed = copy.deepcopy(document)
    path = draw(st.sampled_from(_paths(document)))
    holder = changed
    for step in path[:-1]:
        holder = holder[step]
    last: Any = path[-1]
    how = draw(st.sampled_from(["change", "change", "change", "leave out", "repeat"]))
    if how == "change":
        holder[last] = draw(_VALUES)
    elif how == "leave out":
        del holder[last]
    elif isinstance(holder, list):
        holder.append(copy.deepcopy(holder[last]))
    else:
        holder[draw(_TEXTS)] = draw(_VALUES)
    return changed


def _paths(document: Any, above: Path = ()) -> list[Path]:
    """Where all values of a document are."""
    if isinstance(document, dict):
        steps: list[str | int] = list(document)
    elif isinstance(document, list):
        steps = list(range(len(document)))
    else:
        return []
    found = [(*above, step) for step in steps]
    return found + [path for step in steps for path in _paths(document[step], (*above, step))]
