"""Pressure stall information: for how long tasks waited for CPU, memory or I/O.

Source: Documentation/accounting/psi.rst of the kernel.
"""

from __future__ import annotations

import msgspec

__all__ = ["RESOURCES", "Pressure", "Stall", "parse"]

RESOURCES = ("cpu", "memory", "io")


class Stall(msgspec.Struct, kw_only=True):
    """A share of time, in percent, over the last 10, 60 and 300 seconds, and in all (µs)."""

    avg10: float = 0.0
    avg60: float = 0.0
    avg300: float = 0.0
    total: int = 0


class Pressure(msgspec.Struct, kw_only=True):
    """``some``: at least one task waited; ``full``: all of them did, so no work was done."""

    some: Stall
    full: Stall | None = None


def parse(text: str) -> Pressure:
    """Parse a ``*.pressure`` file."""
    stalls = {}
    for line in text.splitlines():
        kind, *fields = line.split()
        values = dict(field.split("=") for field in fields)
        stalls[kind] = Stall(
            avg10=float(values["avg10"]),
            avg60=float(values["avg60"]),
            avg300=float(values["avg300"]),
            total=int(values["total"]),
        )
    return Pressure(some=stalls["some"], full=stalls.get("full"))
