"""What the findings amount to."""

from __future__ import annotations

from .report import Finding, Report, Verdict
from .rights import NO_USER_NAMESPACE, is_root

__all__ = ["conclude"]


def conclude(findings: list[Finding]) -> Report:
    """Return the report on these findings."""
    broken = [f for f in findings if f.needed and f.state != "ok"]
    lacking = [f for f in findings if not f.needed and f.state != "ok"]
    verdict: Verdict = "machine" if broken else "root" if is_root() else "rootless"
    if broken:
        summary = (
            f"No containers can be made here for want of: {_listed(broken)}. "
            "What is said above may mend it; otherwise containers need a virtual machine."
        )
    else:
        who = "as root" if verdict == "root" else "without being root"
        summary = f"Full containers run here, {who}."
        if lacking:
            summary += f" With less than they could have: {_listed(lacking)}."
    return Report(verdict=verdict, summary=summary, findings=findings)


def _listed(findings: list[Finding]) -> str:
    """Name what fails by itself; what fails only because something before it does is left out."""
    causes = [finding for finding in findings if finding.reason != NO_USER_NAMESPACE]
    names = [finding.name for finding in causes or findings]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
