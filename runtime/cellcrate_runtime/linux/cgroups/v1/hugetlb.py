"""Huge pages; in cgroup v1 and v2 the files differ only in their last word.

Source: Documentation/admin-guide/cgroup-v1/hugetlb.rst of the kernel.
"""

from __future__ import annotations

from contextlib import suppress

from .. import files
from ..resources import Resources
from ..stats import CgroupStats

__all__ = ["apply", "read"]


def apply(directory: str, resources: Resources, last_word: str = "limit_in_bytes") -> None:
    """Write the limit of each page size, for what is used and for what is reserved."""
    for rule in resources.hugepage_limits:
        name = f"hugetlb.{rule.page_size}"
        with suppress(FileNotFoundError):  # reservations are counted since Linux 5.7
            files.write(directory, f"{name}.rsvd.{last_word}", rule.limit)
        files.write(directory, f"{name}.{last_word}", rule.limit)


def read(directory: str, stats: CgroupStats) -> None:
    """Add nothing: Docker's statistics have no word for huge pages."""
