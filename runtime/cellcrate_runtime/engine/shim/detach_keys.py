"""Leave an attached session by typing a sequence of keys, as ``docker attach --detach-keys``."""

from __future__ import annotations

__all__ = ["DetachKeys"]


class DetachKeys:
    """Looks for a sequence in what a client types, which may arrive key by key.

    Args:
        sequence: The bytes that detach; empty for none.
    """

    def __init__(self, sequence: bytes) -> None:
        self._sequence = sequence
        self._matched = 0

    def filter(self, typed: bytes) -> tuple[bytes, bool]:
        """Return what is for the container, and whether the client has detached.

        The beginning of the sequence is kept back until it is clear that it is not the sequence.
        What follows the sequence is nobody's.
        """
        sequence = self._sequence
        if not sequence:
            return typed, False
        held = sequence[: self._matched] + typed
        found = held.find(sequence)
        if found >= 0:
            self._matched = 0
            return held[:found], True
        self._matched = _overlap(held, sequence)
        return held[: len(held) - self._matched], False


def _overlap(text: bytes, sequence: bytes) -> int:
    """The length of the longest beginning of ``sequence`` that ``text`` ends with."""
    for length in range(min(len(text), len(sequence) - 1), 0, -1):
        if text.endswith(sequence[:length]):
            return length
    return 0
