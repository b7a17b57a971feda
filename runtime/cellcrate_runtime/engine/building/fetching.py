"""ADD of an address: what is there is fetched, up to a limit, and checked."""

from __future__ import annotations

import email.utils
import hashlib
import posixpath
import time
import urllib.parse
from pathlib import Path

from cellcrate_runtime.engine.building.copy_request import Fetched
from cellcrate_runtime.images.digests import hex_of
from cellcrate_runtime.images.errors import ImageError

__all__ = ["FetchError", "fetch", "is_address", "refuse_git"]

_LARGEST = 4 << 30  # bytes
_PIECE = 1 << 18
_CONNECT_PATIENCE = 15.0  # seconds
_READ_PATIENCE = 60.0  # seconds without a byte
_MOST_REDIRECTS = 10


class FetchError(ImageError):
    """An address from which nothing could be fetched."""


def is_address(source: str) -> bool:
    """Whether a source of ADD is an address and no path."""
    return source.startswith(("http://", "https://"))


def refuse_git(source: str) -> None:
    """Refuse what BuildKit would clone.

    Raises:
        FetchError: It is a Git repository.
    """
    bare = source.partition("#")[0].partition("?")[0]
    if source.startswith(("git@", "git://", "ssh://")) or (
        is_address(source) and bare.endswith(".git")
    ):
        raise FetchError(
            f"ADD failed: {source} is a Git repository, and this builder clones none. "
            "Clone it into the build context (git clone), and COPY it from there"
        )


def fetch(address: str, path: Path, destination: str, checksum: str = "") -> Fetched:
    """Fetch a file.

    Args:
        address: Where it is: http or https.
        path: Where to write it.
        destination: Where it goes in the image: a name is needed where that ends with a slash.
        checksum: The digest that it must have, or nothing.

    Raises:
        FetchError: It could not be fetched, is too large, or is not what was expected.
    """
    import urllib3

    from cellcrate_runtime.images.registry.proxies import pool_for

    name = posixpath.basename(urllib.parse.urlsplit(address).path)
    if destination.endswith("/") and not name:
        raise FetchError(f"ADD failed: cannot determine filename from url: {address}")
    wanted = _checksum(checksum)
    pool = pool_for(address)
    timeout = urllib3.Timeout(connect=_CONNECT_PATIENCE, read=_READ_PATIENCE)
    try:
        retries = urllib3.Retry(total=3, redirect=_MOST_REDIRECTS, backoff_factor=0.3)
        answer = pool.request(
            "GET", address, preload_content=False, timeout=timeout, retries=retries
        )
        try:
            if answer.status >= 400:
                raise FetchError(f"ADD failed: {address} answered {answer.status} {answer.reason}")
            digest = _write(answer, path, address)
            changed = _last_modified(answer.headers.get("Last-Modified", ""))
        finally:
            answer.close()
    except urllib3.exceptions.HTTPError as error:
        raise FetchError(
            f"ADD failed: {address} cannot be reached from this machine ({error}). Where there is "
            "no network, put the file into the build context"
        ) from error
    finally:
        pool.clear()
    if wanted and digest != wanted:
        raise FetchError(
            f"ADD failed: digest mismatch sha256:{digest}: {checksum} was expected of {address}"
        )
    return Fetched(name, str(path), changed)


def _checksum(text: str) -> str:
    if not text:
        return ""
    try:
        return hex_of(text)
    except ImageError:
        raise FetchError(
            f"ADD failed: invalid checksum {text}: it must be sha256: and 64 hexadecimal digits"
        ) from None


def _write(answer: object, path: Path, address: str) -> str:
    whole, size = hashlib.sha256(), 0
    with open(path, "xb") as file:
        while piece := answer.read(_PIECE):  # type: ignore[attr-defined]
            size += len(piece)
            if size > _LARGEST:
                raise FetchError(f"ADD failed: {address} has more than {_LARGEST} bytes")
            whole.update(piece)
            file.write(piece)
    return whole.hexdigest()


def _last_modified(text: str) -> int:
    try:
        return int(email.utils.parsedate_to_datetime(text).timestamp())
    except ValueError:
        return int(time.time())
