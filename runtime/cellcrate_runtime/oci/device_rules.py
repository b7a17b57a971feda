"""The devices that every container may use, as rules of the device controller.

Source: OCI runtime-spec 1.3, config-linux.md, "Default Devices"; runc and Docker allow the same.
"""

from __future__ import annotations

from cellcrate_runtime.linux.cgroups.resources import DeviceRule

__all__ = ["usual_devices"]

# Making a node (m) is harmless without the right to open it.
_USUAL = (
    ("c", None, None, "m"),
    ("b", None, None, "m"),
    ("c", 1, 3, "rwm"),  # null
    ("c", 1, 5, "rwm"),  # zero
    ("c", 1, 7, "rwm"),  # full
    ("c", 1, 8, "rwm"),  # random
    ("c", 1, 9, "rwm"),  # urandom
    ("c", 5, 0, "rwm"),  # tty
    ("c", 5, 2, "rwm"),  # ptmx
    ("c", 136, None, "rwm"),  # terminals
)


def usual_devices() -> list[DeviceRule]:
    """Return the rules that allow them."""
    return [
        DeviceRule(allow=True, type=kind, major=major, minor=minor, access=access)
        for kind, major, minor, access in _USUAL
    ]
