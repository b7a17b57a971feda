"""Which CPUs and memory nodes may be used; an empty list means those of the group above.

Source: Documentation/admin-guide/cgroup-v2.rst of the kernel, section "Cpuset".
"""

from __future__ import annotations

from ..v1.cpuset import apply, read

__all__ = ["apply", "read"]
