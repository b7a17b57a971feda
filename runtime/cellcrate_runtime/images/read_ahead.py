"""Reading in a thread of its own, a little ahead of who needs it.

Decompression takes as long as writing files does, and lets other threads run meanwhile.
"""

from __future__ import annotations

import queue
import threading

from cellcrate_runtime.images.digests import Readable
from cellcrate_runtime.images.tar_stream import PIECE

__all__ = ["ReadAhead"]

_AHEAD = 16  # pieces: four megabytes
_ENDED = b""


class ReadAhead:
    """Reads from a source, which is nobody else's until :meth:`close` has returned."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._ready: queue.Queue[bytes | BaseException] = queue.Queue(_AHEAD)
        self._is_closed = False
        self._rest = b""
        self._thread = threading.Thread(target=self._work, name="read a layer", daemon=True)
        self._thread.start()

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes; none at the end.

        Raises:
            Exception: What reading the source raised.
        """
        piece, self._rest = self._rest or self._next(), b""
        if 0 <= size < len(piece):
            piece, self._rest = piece[:size], piece[size:]
        return piece

    def close(self) -> None:
        """Stop reading, and wait until the thread has ended."""
        self._is_closed = True
        while self._thread.is_alive():
            # It may be waiting for room.
            try:
                self._ready.get(timeout=0.05)
            except queue.Empty:
                continue

    def _next(self) -> bytes:
        piece = self._ready.get()
        if isinstance(piece, BaseException) or piece == _ENDED:
            self._ready.put(piece)  # whoever asks again is told the same
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def _work(self) -> None:
        try:
            while not self._is_closed:
                piece = self._source.read(PIECE)
                self._ready.put(piece)
                if piece == _ENDED:
                    return
        except BaseException as error:
            self._ready.put(error)
