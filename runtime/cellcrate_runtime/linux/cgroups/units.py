"""The names of systemd's units for containers, and where their control groups are.

A container's ``cgroupsPath`` is ``slice:prefix:name`` then. Source: runc's docs/systemd.md;
systemd.slice(5), systemd.scope(5).
"""

from __future__ import annotations

import msgspec

from .errors import CgroupError

__all__ = ["UnitName", "parse", "slice_path"]

_SLICE = ".slice"
_ROOT = "-.slice"


class UnitName(msgspec.Struct, frozen=True):
    """A scope, such as ``cellcrate-1234.scope``, and the slice that it lies in."""

    scope: str
    slice: str


def parse(path: str, container_id: str, *, user: bool) -> UnitName:
    """Read a ``cgroupsPath``; an empty one is ``:cellcrate:ID``.

    Args:
        path: ``slice:prefix:name``; an empty slice is ``system.slice``, or ``user.slice``.
        container_id: What an empty path is named after.
        user: Whether it is for the systemd of an ordinary user.

    Raises:
        CgroupError: It is something else.
    """
    parts = (path or f":cellcrate:{container_id}").split(":")
    if len(parts) != 3:
        raise CgroupError(
            f'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got '
            f"{path!r} instead"
        )
    slice_, prefix, name = parts
    if slice_ == "-":
        slice_ = _ROOT
    slice_ = slice_ or ("user.slice" if user else "system.slice")
    slice_path(slice_)
    if name.endswith(_SLICE):
        raise CgroupError(f"cgroupsPath: a container is a scope, and {name!r} is a slice")
    if "/" in prefix + name or not name:
        raise CgroupError(f"cgroupsPath: {path!r} does not make the name of a unit")
    return UnitName(f"{prefix}-{name}.scope", slice_)


def slice_path(name: str) -> str:
    """Where a slice is below the root slice: ``a-b.slice`` is at ``/a.slice/a-b.slice``.

    Raises:
        CgroupError: It is no slice's name.
    """
    if name == _ROOT:
        return ""
    words = name.removesuffix(_SLICE).split("-")
    if not name.endswith(_SLICE) or "/" in name or "" in words:
        raise CgroupError(f"invalid slice name: {name}")
    return "".join(f"/{'-'.join(words[:number])}{_SLICE}" for number in range(1, len(words) + 1))
