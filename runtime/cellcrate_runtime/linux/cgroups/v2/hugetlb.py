"""Huge pages.

Source: Documentation/admin-guide/cgroup-v2.rst of the kernel, section "HugeTLB".
"""

from __future__ import annotations

from ..resources import Resources
from ..v1 import hugetlb
from ..v1.hugetlb import read

__all__ = ["apply", "read"]


def apply(directory: str, resources: Resources) -> None:
    """Write the limit of each page size."""
    hugetlb.apply(directory, resources, last_word="max")
