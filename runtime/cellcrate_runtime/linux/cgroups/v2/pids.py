"""How many tasks there may be.

Source: Documentation/admin-guide/cgroup-v2.rst of the kernel, section "PID".
"""

from __future__ import annotations

from ..v1.pids import apply, read

__all__ = ["apply", "read"]
