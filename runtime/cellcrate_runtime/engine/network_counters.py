"""What went through the network interfaces of a container.

Source: proc_pid_net(5), ``/proc/pid/net/dev``.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["interfaces", "parse"]

# The columns of /proc/pid/net/dev: eight of what was received, then eight of what was sent.
_RECEIVED = ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped")
_SENT = ("tx_bytes", "tx_packets", "tx_errors", "tx_dropped")
_SENT_AT = 8


def interfaces(pid: int) -> dict[str, dict[str, int]]:
    """Return the counters of each interface in the network of a process, but for loopback.

    A process that shares this computer's network has none of its own; neither has one that ended.
    """
    process = Path("/proc") / str(pid)
    try:
        if os.readlink(process / "ns" / "net") == os.readlink("/proc/self/ns/net"):
            return {}
        return parse((process / "net" / "dev").read_text())
    except OSError:
        return {}


def parse(table: str) -> dict[str, dict[str, int]]:
    """Return the counters of a ``/proc/pid/net/dev``."""
    found = {}
    for line in table.splitlines():
        name, colon, counters = line.partition(":")
        if not colon or name.strip() == "lo":
            continue
        numbers = [int(word) for word in counters.split()]
        received = dict(zip(_RECEIVED, numbers, strict=False))
        sent = dict(zip(_SENT, numbers[_SENT_AT:], strict=False))
        found[name.strip()] = received | sent
    return found
