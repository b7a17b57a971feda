"""The picture of one container: state, limits, what it uses, its last lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cellcrate.widgets.html import BORDER, FONT, GOOD, HOT, MONO, MUTED, WARM, bar, escape
from cellcrate.widgets.sample import Sample
from cellcrate.widgets.words import human_size, seconds_since, span

__all__ = ["Card"]

_NANO = 1e9
_SHORT_ID = 12
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")

_COLOURS = {"running": GOOD, "paused": WARM, "restarting": WARM, "dead": HOT}


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of a container at one moment.

    Attributes:
        name: Its name.
        image: The name of its image.
        state: created, running, paused, restarting, exited, dead, or removed.
        short_id: The first letters of its id.
        exit_code: The exit status, once it has one.
        out_of_memory: Whether the kernel killed one of its processes for want of memory.
        health: starting, healthy or unhealthy, where it has a health check.
        uptime: How long it has run, in seconds.
        cpu_limit: The limit on processors; 0 where there is none.
        memory_limit: The limit on memory, in bytes; 0 where there is none.
        sample: What it uses.
        history: Processors in use before, the oldest first.
        lines: The last lines of its log.
        trouble: Why the last button that was pressed did not do what it says.
    """

    name: str
    image: str
    state: str
    short_id: str = ""
    exit_code: int = 0
    out_of_memory: bool = False
    health: str = ""
    uptime: float | None = None
    cpu_limit: float = 0.0
    memory_limit: int = 0
    sample: Sample | None = None
    history: tuple[float, ...] = ()
    lines: tuple[str, ...] = ()
    trouble: str = ""

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> Card:
        """Read the engine's description of a container (ContainerInspect)."""
        state, limits = details["State"], details["HostConfig"]
        running = bool(state.get("Running"))
        quota, period = limits.get("CpuQuota") or 0, limits.get("CpuPeriod") or 100_000
        nano = limits.get("NanoCpus") or 0
        return cls(
            name=str(details["Name"]).lstrip("/"),
            image=str(details["Config"]["Image"]),
            state=str(state["Status"]),
            short_id=str(details["Id"])[:_SHORT_ID],
            exit_code=int(state.get("ExitCode") or 0),
            out_of_memory=bool(state.get("OOMKilled")),
            health=str((state.get("Health") or {}).get("Status", "")),
            uptime=seconds_since(str(state.get("StartedAt", ""))) if running else None,
            cpu_limit=nano / _NANO if nano else max(0, quota) / period,
            memory_limit=int(limits.get("Memory") or 0),
        )

    def removed(self) -> Card:
        """The same container after it was removed."""
        return replace(self, state="removed", uptime=None, sample=None)

    def still(self) -> Card:
        """What stays true for a while: what a saved notebook keeps, and a test compares."""
        return Card(
            name=self.name,
            image=self.image,
            state=self.state,
            exit_code=self.exit_code,
            out_of_memory=self.out_of_memory,
            cpu_limit=self.cpu_limit,
            memory_limit=self.memory_limit,
        )

    @property
    def condition(self) -> str:
        """The state in words: ``running``, ``exited (137, out of memory)``."""
        if self.state not in ("exited", "dead"):
            return self.state
        memory = ", out of memory" if self.out_of_memory else ""
        return f"{self.state} ({self.exit_code}{memory})"

    def text(self) -> str:
        """Return one line, which is the same whenever the state is."""
        return f"<container {self.name}: {self.condition}, image {self.image}>"

    def html(self) -> str:
        """Return the card."""
        parts = [self._head(), self._meters(), self._log(), self._note()]
        return (
            f'<div style="border:1px solid {BORDER};border-radius:6px;padding:10px 14px;'
            f'max-width:640px;font-family:{FONT};font-size:13px;line-height:1.5">'
            f"{''.join(parts)}</div>"
        )

    def _head(self) -> str:
        failed = self.state == "exited" and (self.exit_code or self.out_of_memory)
        colour = HOT if failed else _COLOURS.get(self.state, MUTED)
        facts = [escape(self.condition)]
        if self.uptime is not None:
            facts.append(f"for {span(self.uptime)}")
        if self.health:
            facts.append(escape(self.health))
        return (
            f'<div style="display:flex;gap:10px;align-items:baseline">'
            f'<span style="color:{colour}" aria-hidden="true">●</span>'
            f"<b>{escape(self.name)}</b><span>{', '.join(facts)}</span>"
            f'<span style="color:{MUTED};margin-left:auto">{escape(self.image)} '
            f'<code style="font-size:11px">{escape(self.short_id)}</code></span></div>'
        )

    def _meters(self) -> str:
        limits = []
        if self.cpu_limit:
            limits.append(f"{self.cpu_limit:g} CPUs")
        if self.memory_limit:
            limits.append(f"{human_size(self.memory_limit)} of memory")
        if self.sample is None:
            text = f"Limits: {', '.join(limits)}" if limits else "No limits"
            return f'<div style="color:{MUTED}">{text}</div>'
        return (
            '<div style="display:grid;grid-template-columns:auto 1fr auto;gap:2px 10px;'
            f'align-items:center;margin:6px 0">{self._cpu()}{self._memory()}</div>'
        )

    def _cpu(self) -> str:
        assert self.sample is not None
        limit = self.cpu_limit
        share = self.sample.cpu / limit if limit else min(1.0, self.sample.cpu)
        of = f"of {limit:g} CPUs" if limit else "CPUs, no limit"
        row = f"<span>CPU</span>{bar(share, 'CPU')}<span>{self.sample.cpu:.2f} {of}</span>"
        return row + self._sparkline()

    def _sparkline(self) -> str:
        if len(self.history) < 2:
            return ""
        top = max(self.cpu_limit, *self.history) or 1.0
        step = 100 / (len(self.history) - 1)
        points = " ".join(
            f"{index * step:.1f},{20 - 19 * value / top:.1f}"
            for index, value in enumerate(self.history)
        )
        return (
            '<span></span><svg viewBox="0 0 100 20" preserveAspectRatio="none" role="img" '
            'aria-label="CPU over time" style="width:100%;height:20px">'
            f'<polyline points="{points}" fill="none" stroke="{GOOD}" stroke-width="1" '
            'vector-effect="non-scaling-stroke"/></svg><span></span>'
        )

    def _memory(self) -> str:
        assert self.sample is not None
        limit = self.memory_limit
        of = f"of {human_size(limit)}" if limit else "no limit"
        share = self.sample.memory / limit if limit else self.sample.memory_share
        used = f"{human_size(self.sample.memory)} {of}"
        return f"<span>Memory</span>{bar(share, 'memory')}<span>{used}</span>"

    def _note(self) -> str:
        return f'<div style="color:{HOT}">{escape(self.trouble)}</div>' if self.trouble else ""

    def _log(self) -> str:
        if not self.lines:
            return ""
        text = escape("\n".join(plain_lines(self.lines)))
        return (
            f'<pre style="font-family:{MONO};font-size:12px;margin:6px 0 0;padding-top:6px;'
            f'border-top:1px solid {BORDER};overflow-x:auto;background:none">{text}</pre>'
        )


def plain_lines(lines: Sequence[str]) -> list[str]:
    """Return lines without a terminal's escape sequences."""
    return [_ESCAPES.sub("", line).replace("\r", "") for line in lines]
