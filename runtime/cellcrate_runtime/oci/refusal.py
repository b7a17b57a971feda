"""Saying no to a member of a configuration, and the checks that many members share."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import NoReturn

from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.spec import IDMapping

__all__ = [
    "HIGHEST_ID",
    "check_environment",
    "check_list",
    "check_mappings",
    "check_text",
    "refuse",
]

HIGHEST_ID = (1 << 32) - 2  # the one above means "no id"
_MOST_MAPPINGS = 340  # user_namespaces(7)


def refuse(member: str, why: str) -> NoReturn:
    """Raise the error that a member of the configuration cannot be what it is."""
    raise OCIError(f"{member}: {why}", "invalid")


def check_text(member: str, texts: Iterable[str]) -> None:
    """Refuse what the kernel would cut off at a zero byte."""
    for text in texts:
        if "\0" in text:
            refuse(member, f"{text!r} has a zero byte in it")


def check_environment(member: str, lines: list[str]) -> None:
    """Refuse what is no variable of an environment."""
    check_text(member, lines)
    for line in lines:
        if line.find("=") < 1:
            refuse(member, f"{line!r} is not of the form NAME=value")


def check_list(member: str, text: str) -> None:
    """Refuse what is no list of numbers such as ``0-3,7``; nothing is fine."""
    if text:
        from cellcrate_runtime.linux.cgroups.machine import parse_list

        try:
            parse_list(text)
        except ValueError as error:
            refuse(member, str(error))


def check_mappings(member: str, mappings: list[IDMapping]) -> None:
    """Refuse ranges of ids that the kernel does not take."""
    if len(mappings) > _MOST_MAPPINGS:
        refuse(member, f"the kernel takes {_MOST_MAPPINGS} of them at most")
    for mapping in mappings:
        first = min(mapping.container_id, mapping.host_id)
        last = max(mapping.container_id, mapping.host_id) + mapping.size - 1
        if mapping.size < 1 or first < 0 or last > HIGHEST_ID:
            refuse(member, f"{mapping.size} ids from {first} on are not a range of ids")
    for side in ("container_id", "host_id"):
        ordered = sorted(mappings, key=lambda m: int(getattr(m, side)))
        for one, other in itertools.pairwise(ordered):
            if getattr(one, side) + one.size > getattr(other, side):
                refuse(member, "ranges overlap")
