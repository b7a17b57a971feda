"""What the doctor found: one finding for each thing that containers are built with."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = ["Finding", "Report", "State", "Verdict"]

State = Literal["ok", "limited", "missing"]

Verdict = Literal["root", "rootless", "machine"]
"""Full containers as root; full containers for an ordinary user; or a virtual machine is needed."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was tried."""

    name: str
    """Short, such as ``overlayfs``."""
    state: State
    meaning: str
    """What it is for, or with ``state`` other than ok what does not work without it."""
    reason: str = ""
    """Why it is limited or missing, in the kernel's words where it gave any."""
    remedy: str = ""
    """One command, or one sentence where there is no command, that mends it; may be empty."""
    needed: bool = False
    """Whether no container runs without it."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All findings, and what follows from them."""

    verdict: Verdict
    summary: str
    """The verdict in one sentence."""
    findings: list[Finding]

    def find(self, name: str) -> Finding | None:
        """Return the finding of a name."""
        return next((finding for finding in self.findings if finding.name == name), None)

    @property
    def warnings(self) -> list[str]:
        """A line for each thing that is limited or missing, as ``docker info`` shows them."""
        return [
            f"WARNING: {finding.name}: {finding.reason or finding.meaning}"
            for finding in self.findings
            if finding.state != "ok"
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and dictionaries, as JSON has them."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document
