"""What a container tells about itself: to its hooks, and to whoever asks for its state.

Source: OCI runtime-spec 1.3, runtime.md, "State".
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["State", "Status", "encode"]

Status = Literal["creating", "created", "running", "stopped", "paused"]
"""``paused`` is not the specification's; runc and crun have it too."""


class State(msgspec.Struct, rename="camel", kw_only=True):
    """The state of a container.

    Attributes:
        pid: Its first process, as whoever reads this sees it; 0 where there is none.
        bundle: The absolute path of the bundle.
    """

    oci_version: str
    id: str
    status: Status
    pid: int = 0
    bundle: str
    annotations: dict[str, str] = {}


def encode(state: State) -> bytes:
    """Write it as JSON."""
    return msgspec.json.encode(state)
