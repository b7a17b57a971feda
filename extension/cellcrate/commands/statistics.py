"""``%container stats``: what containers use, once or as it changes."""

from __future__ import annotations

import threading
import time
from typing import Any

from cellcrate.cells.link import Link
from cellcrate.commands.command import Command, link, options, switch
from cellcrate.options import Parsed
from cellcrate.widgets.html import bar
from cellcrate.widgets.sample import Sample
from cellcrate.widgets.table import Markup, Table
from cellcrate.widgets.words import human_size

__all__ = ["COMMANDS"]

COLUMNS = ("NAME", "CPU", "MEMORY / LIMIT", "MEMORY %", "NETWORK I/O", "BLOCK I/O", "PIDS")

#: The time between two pictures, in seconds: engines send one message a second.
PACE = 1.0


def _stats(parsed: Parsed) -> Any:
    to_engine = link()
    names = parsed.words or _running(to_engine, every=parsed.on("all"))
    for name in parsed.words:
        to_engine.ask(lambda api, name: api.inspect_container(name), name)
    if parsed.on("no_stream"):
        watchers = [_Watcher(to_engine, name, once=True) for name in names]
        for watcher in watchers:
            watcher.join()
        return _table(watchers)
    _watch([_Watcher(to_engine, name, once=False) for name in names])
    return None


def _running(to_engine: Link, *, every: bool) -> list[str]:
    found = to_engine.ask(lambda api: api.containers(all=every))
    return sorted(each["Names"][0].lstrip("/") for each in found)


def _watch(watchers: list[_Watcher]) -> None:
    """Show the table anew each second, until the stop button or the end of every container."""
    from IPython.display import display

    handle: Any = display(_table(watchers), display_id=True)
    try:
        while any(watcher.is_alive() for watcher in watchers):
            time.sleep(PACE)
            handle.update(_table(watchers))
    except KeyboardInterrupt:
        pass
    finally:
        for watcher in watchers:
            watcher.leave()


class _Watcher(threading.Thread):
    """Follows one container's statistics. It prints nothing: threads print into any cell."""

    def __init__(self, to_engine: Link, name: str, *, once: bool) -> None:
        super().__init__(name=f"cellcrate-stats-{name}", daemon=True)
        self.container = name
        self.sample: Sample | None = None
        self._api = to_engine.engine.api
        self._once = once
        self._left = threading.Event()
        self._stream: Any = None
        self.start()

    def run(self) -> None:
        try:
            if self._once:
                self.sample = Sample.of(self._api.stats(self.container, stream=False))
                return
            self._stream = self._api.stats(self.container, stream=True, decode=True)
            for message in self._stream:
                if self._left.is_set() or _is_over(message):
                    break
                self.sample = Sample.of(message)
        except Exception:
            # The container or the engine went away; its last figures stay on the screen.
            return

    def leave(self) -> None:
        """Stop to follow, at the next message."""
        self._left.set()


def _is_over(message: dict[str, Any]) -> bool:
    # Of a container that does not run, engines send messages without figures.
    return not (message.get("pids_stats") or {}).get("current")


def _table(watchers: list[_Watcher]) -> Table:
    rows = [_row(watcher.container, watcher.sample) for watcher in watchers]
    return Table(COLUMNS, rows, "no containers run")


def _row(name: str, sample: Sample | None) -> list[str]:
    if sample is None:
        return [name, *["-"] * (len(COLUMNS) - 1)]
    limit = human_size(sample.memory_limit) if sample.memory_limit else "no limit"
    share = f"{100 * sample.memory_share:.1f}%" if sample.memory_limit else "-"
    return [
        name,
        f"{100 * sample.cpu:.1f}%",
        f"{human_size(sample.memory)} / {limit}",
        Markup(f"{bar(sample.memory_share, 'memory')}{share}", share),
        f"{human_size(sample.received)} / {human_size(sample.sent)}",
        f"{human_size(sample.read)} / {human_size(sample.written)}",
        str(sample.processes),
    ]


COMMANDS = (
    Command(
        name="stats",
        usage="[CONTAINER...]",
        summary="Show what containers use, live; the stop button ends that.",
        groups=options(
            switch("--no-stream", "Show it once."),
            switch("--all", "Show containers too that do not run.", "-a"),
        ),
        words=("container",),
        run=_stats,
    ),
)
