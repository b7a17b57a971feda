"""What a worker has to know of a running container."""

from __future__ import annotations

from dataclasses import dataclass

from cellcrate_runtime.engine.protocol import Rootfs

__all__ = ["Running"]


@dataclass(frozen=True)
class Running:
    """A running container, through its first process."""

    pid: int
    pidfd: int
    bundle: str
    rootfs: Rootfs | None
