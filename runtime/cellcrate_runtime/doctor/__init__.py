"""What this machine can do for containers, found out by trying."""

from __future__ import annotations

from .examination import examine
from .render import render
from .report import Finding, Report

__all__ = ["Finding", "Report", "examine", "render"]
