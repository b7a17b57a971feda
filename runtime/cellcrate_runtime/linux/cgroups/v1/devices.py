"""Which device nodes may be made, read and written.

Source: Documentation/admin-guide/cgroup-v1/devices.rst of the kernel.
"""

from __future__ import annotations

import os

from cellcrate_runtime.linux import recording

from ..conversions import each_kind
from ..resources import DeviceRule, Resources
from ..stats import CgroupStats

__all__ = ["apply", "read", "rule_text"]


def rule_text(rule: DeviceRule) -> str:
    """Return a rule in the kernel's words, such as ``c 1:3 rwm``; ``a`` alone is everything."""
    if rule.type in (None, "", "a"):
        return "a"
    major = "*" if rule.major is None or rule.major < 0 else rule.major
    minor = "*" if rule.minor is None or rule.minor < 0 else rule.minor
    return f"{rule.type} {major}:{minor} {rule.access or 'rwm'}"


def apply(directory: str, resources: Resources) -> None:
    """Write the rules in their order: the last one that fits a device decides."""
    if not resources.devices:
        return
    allow = os.open(f"{directory}/devices.allow", os.O_WRONLY | os.O_CLOEXEC)
    try:
        deny = os.open(f"{directory}/devices.deny", os.O_WRONLY | os.O_CLOEXEC)
        try:
            for rule in each_kind(resources.devices):
                os.write(allow if rule.allow else deny, rule_text(rule).encode())
                if recording.active is not None:
                    file = f"{directory}/devices.{'allow' if rule.allow else 'deny'}"
                    recording.active.note("write", file=file, value=rule_text(rule))
        finally:
            os.close(deny)
    finally:
        os.close(allow)


def read(directory: str, stats: CgroupStats) -> None:
    """Add nothing: the device controller counts nothing."""
