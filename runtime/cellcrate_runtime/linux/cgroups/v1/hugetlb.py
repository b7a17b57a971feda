"""Huge pages; in cgroup v1 and v2 the files differ only in their last word.

Source: Documentation/admin-guide/cgroup-v1/hugetlb.rst of the kernel.
"""

from __future__ import annotations

from .. import files
from ..resources import Resources
from ..stats import CgroupStats

__all__ = ["apply", "read"]


def apply(directory: str, resources: Resources, last_word: str = "limit_in_bytes") -> None:
    """Write the limit of each page size."""
    for rule in resources.hugepage_limits:
        files.write(directory, f"hugetlb.{rule.page_size}.{last_word}", rule.limit)


def read(directory: str, stats: CgroupStats) -> None:
    """Add nothing: Docker's statistics have no word for huge pages."""
