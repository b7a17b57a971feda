"""Completion in a magic's line: options, their values, images, containers, commands.

It never raises, starts no engine, and gives up when names do not come within a second.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from cellcrate import connection
from cellcrate.commands import CONTAINER, IMAGE
from cellcrate.options import Group, Option
from cellcrate.options.build import CELL_BUILD_GROUPS
from cellcrate.options.run import CELL_GROUPS

__all__ = ["complete", "forget_names", "install", "names_of"]

#: How long names that the engine gave are used again, in seconds: a person types on.
FRESH = 2.0

_CAPABILITIES = """
ALL AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE
DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE
MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG
SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE
SYS_TIME SYS_TTY_CONFIG WAKE_ALARM
"""  # capabilities(7)

NETWORKS = ("none", "host", "bridge", "container:")


def install(shell: Any) -> None:
    """Have a shell complete the lines of Cellcrate's magics."""
    for magic in ("%%container", "%container", "%%image", "%image", "%cellcrate"):
        shell.set_hook("complete_command", _complete_event, str_key=magic)


def _complete_event(_: Any, event: Any) -> list[str]:
    try:
        return complete(event.text_until_cursor, event.symbol)
    except Exception:
        # An error here would be printed into whatever the person is typing.
        return []


def complete(line: str, symbol: str = "") -> list[str]:
    """Return what the last word of a line may become.

    Args:
        line: The line up to the cursor, with its magic.
        symbol: The part of the word that IPython means to replace. It splits words at characters
            such as ``/``, ``:`` and ``-``, so that it may be less than the word.
    """
    magic, *words = line.split()
    if line[-1:].isspace():
        words.append("")
    if not words:
        return []
    *before, word = words
    candidates = [each for each in _candidates(magic, before, word) if each.startswith(word)]
    kept = len(word) - len(symbol) if symbol and word.endswith(symbol) else 0
    if not symbol:
        kept = len(word)
    return [each[kept:] for each in candidates]


def _candidates(magic: str, before: Sequence[str], word: str) -> Iterable[str]:
    if magic == "%cellcrate":
        return ("doctor", "version", "env") if not before else ()
    if magic == "%%container":
        return _arguments(before, word, CELL_GROUPS, ("image", ""), mixed=False)
    if magic == "%%image":
        return _arguments(before, word, CELL_BUILD_GROUPS, ("image", ""), mixed=True)
    family = IMAGE if magic == "%image" else CONTAINER
    if not before:
        return family.names
    command = family.find(before[0])
    if command is None:
        return ()
    return _arguments(before[1:], word, command.groups, command.words, mixed=command.mixed)


def _arguments(
    before: Sequence[str],
    word: str,
    groups: tuple[Group, ...],
    kinds: Sequence[str],
    *,
    mixed: bool,
) -> Iterable[str]:
    options = {
        name: option for group in groups for option in group.options for name in option.names
    }
    position, waiting = _walk(before, options, mixed=mixed)
    if waiting is not None:
        return _values(waiting, word)
    name, equals, _ = word.partition("=")
    if equals and name in options:
        return [f"{name}={value}" for value in _values(options[name], word[len(name) + 1 :])]
    if word.startswith("-") and (mixed or position == 0):
        return [name for name, option in options.items() if not option.refused]
    if not kinds:
        return ()
    kind = kinds[min(position, len(kinds) - 1)]
    offered = list(names_of(kind, word))
    if not word and (mixed or position == 0) and not offered:
        offered = [option.long for option in options.values() if not option.refused]
    return offered


def _walk(
    before: Sequence[str], options: dict[str, Option], *, mixed: bool
) -> tuple[int, Option | None]:
    """Return how many words stand before the cursor, and the option that waits for its value."""
    position, waiting = 0, None
    for word in before:
        if waiting is not None:
            waiting = None
        elif word.startswith("-") and (mixed or position == 0):
            option = options.get(word) or options.get(f"-{word[-1]}")
            waiting = option if option and not option.is_switch and "=" not in word else None
        else:
            position += 1
    return position, waiting


def _values(option: Option, word: str) -> Iterable[str]:
    return option.choices or names_of(option.complete, word)


def names_of(kind: str, word: str = "") -> Iterable[str]:
    """Return the names of one kind of thing."""
    sources: dict[str, Callable[[], Iterable[str]]] = {
        "image": lambda: _from_engine("image", _images),
        "container": lambda: _from_engine("container", _containers),
        "container-path": lambda: [f"{name}:" for name in _from_engine("container", _containers)],
        "network": lambda: NETWORKS,
        "runtime": lambda: _from_engine("runtime", _runtimes),
        "capability": _CAPABILITIES.split,
        "signal": lambda: [each.name.removeprefix("SIG") for each in signal.Signals],
        "path": lambda: _paths(word),
    }
    source = sources.get(kind)
    return source() if source else ()


def _paths(word: str) -> Iterable[str]:
    head, slash, _ = word.rpartition("/")
    folder = Path(head + slash).expanduser() if head or slash else Path()
    if not folder.is_dir():
        return []
    return [
        f"{head}{slash}{entry.name}{'/' * entry.is_dir()}" for entry in sorted(folder.iterdir())
    ]


_known: dict[str, tuple[float, list[str]]] = {}


def _from_engine(kind: str, ask: Callable[[Any], list[str]]) -> list[str]:
    """Return names that the engine gives, or those it gave a moment ago."""
    key = f"{kind} {connection.address()}"
    at, names = _known.get(key, (0.0, []))
    if time.monotonic() - at < FRESH:
        return names
    # In a thread, because a client's own timeout is for cells, which may take long.
    thread = threading.Thread(target=_fill, args=(key, ask), name="cellcrate-complete", daemon=True)
    thread.start()
    thread.join(connection.QUICK_TIMEOUT)
    return _known.get(key, (0.0, []))[1]


def forget_names() -> None:
    """Ask the engine anew, however young the names are."""
    _known.clear()


def _fill(key: str, ask: Callable[[Any], list[str]]) -> None:
    try:
        engine = connection.answering_engine()
        _known[key] = (time.monotonic(), ask(engine.api) if engine else [])
    except Exception:
        _known[key] = (time.monotonic(), [])


def _images(api: Any) -> list[str]:
    tags = [tag for image in api.images() for tag in image.get("RepoTags") or []]
    return sorted(re.sub(r":latest$", "", tag) for tag in tags if tag != "<none>:<none>")


def _containers(api: Any) -> list[str]:
    found = api.containers(all=True)
    return sorted(name.lstrip("/") for each in found for name in each.get("Names") or [])


def _runtimes(api: Any) -> list[str]:
    return sorted(api.info().get("Runtimes") or {})
