"""Compressed layers are read as what they are, told by their first bytes.

Media types are not relied on: tools have written gzip under the name of plain tar and the reverse.
Sources: RFC 1952 (gzip), RFC 8878 (zstd).
"""

from __future__ import annotations

import contextlib
import gzip
import importlib
import io
import shutil
import subprocess
import threading
from collections.abc import Iterator
from typing import IO, cast

from cellcrate_runtime.images.digests import Readable
from cellcrate_runtime.images.errors import (
    CorruptContentError,
    ImageError,
    InvalidArchiveError,
)

__all__ = ["decompressed"]

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
PIECE = 1 << 18


@contextlib.contextmanager
def decompressed(source: io.RawIOBase) -> Iterator[Readable]:
    """Read a layer's blob as the tar archive that it holds.

    Raises:
        ImageError: It is compressed with zstd, which this machine has no means to read.
    """
    buffered = io.BufferedReader(source, PIECE)
    try:
        start = buffered.peek(len(ZSTD))[: len(ZSTD)]
        if start.startswith(GZIP):
            with gzip.GzipFile(fileobj=buffered) as file:
                yield cast(Readable, file)
        elif start == ZSTD:
            with _zstd(buffered) as stream:
                yield stream
        else:
            yield buffered
    finally:
        # The source stays open: its owner still wants to see its end.
        buffered.detach()


@contextlib.contextmanager
def _zstd(source: io.BufferedReader[io.RawIOBase]) -> Iterator[Readable]:
    """Decompress by the standard library of Python 3.14 and later, else by the program zstd."""
    try:
        module = importlib.import_module("compression.zstd")
    except ImportError:
        with _zstd_program(source) as stream:
            yield stream
        return
    try:
        with module.ZstdFile(source) as file:
            yield file
    except module.ZstdError as error:
        raise InvalidArchiveError(f"a layer of the image is not good zstd: {error}") from error


@contextlib.contextmanager
def _zstd_program(source: Readable) -> Iterator[Readable]:
    program = shutil.which("zstd")
    if program is None:
        raise ImageError(
            "a layer of the image is compressed with zstd, which this Python cannot read. "
            "Install the program zstd (on Debian: apt-get install zstd), or use Python 3.14."
        )
    with subprocess.Popen(
        [program, "-dc"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what is wrong with a layer, its digest tells
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        feeder = threading.Thread(target=_feed, args=(source, process.stdin), daemon=True)
        feeder.start()
        try:
            yield process.stdout
        finally:
            # Whoever stops reading early leaves a program that would like to go on.
            process.kill()
            feeder.join()


def _feed(source: Readable, target: IO[bytes]) -> None:
    # Damage is found again, by the thread that unpacks, when it reads on to the source's end.
    with contextlib.suppress(BrokenPipeError, CorruptContentError), target:
        while piece := source.read(PIECE):
            target.write(piece)
