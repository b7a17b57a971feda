"""What is known of an unpacked layer."""

from __future__ import annotations

import msgspec

__all__ = ["LayerInfo"]


class LayerInfo(msgspec.Struct, omit_defaults=True):
    """What is known of an unpacked layer.

    Attributes:
        size: Bytes in its files.
        files: How many entries its archive has.
        left_out: What was not unpacked: names, each with the reason.
        owners_kept: Whether files have the owners that the archive names; if not, all belong to the
            user who unpacked it. None where that is not known.
    """

    size: int
    files: int = 0
    left_out: list[str] = []
    owners_kept: bool | None = None
