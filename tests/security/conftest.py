"""A real engine to be attacked from inside its containers, and containers without one."""

from __future__ import annotations

# The fixtures are found by their names.
from engine.conftest import base_image, engine, limits, make_engine, module_engine
from oci.conftest import base, identity, mapped, ordinary_uid

__all__ = [
    "base",
    "base_image",
    "engine",
    "identity",
    "limits",
    "make_engine",
    "mapped",
    "module_engine",
    "ordinary_uid",
]
