"""One blob goes to a registry: in one piece, or in several that survive broken connections.

Source: distribution-spec 1.1, spec.md, "Pushing blobs": "POST then PUT", "Pushing a blob in chunks"
and "Mounting a blob from another repository".
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from cellcrate_runtime.images.registry.auth import pull_scope
from cellcrate_runtime.images.registry.errors import (
    NotInRegistryError,
    RegistryBusyError,
    RegistryError,
    RegistryUnreachableError,
)
from cellcrate_runtime.images.registry.progress import Cancellation, Meter
from cellcrate_runtime.images.registry.repository import Repository
from cellcrate_runtime.images.registry.retrying import pause_before
from cellcrate_runtime.images.registry.transport import Body, Response

__all__ = ["Outgoing", "Uploader"]

_OCTETS = {"Content-Type": "application/octet-stream"}
_range = re.compile(r"(?:bytes=)?0-(\d+)")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A blob to be sent: its digest, its size in bytes, and the file that it is."""

    digest: str
    size: int
    path: Path


class Uploader:
    """Sends one blob to one repository."""

    def __init__(
        self, repository: Repository, blob: Outgoing, meter: Meter, cancellation: Cancellation
    ) -> None:
        self._repository = repository
        self._settings = repository.connection.transport.settings
        self._blob = blob
        self._meter = meter
        self._cancellation = cancellation
        self._location = ""
        self._chunk = self._settings.chunk

    def mount(self, repositories: Sequence[str]) -> str | None:
        """Have the registry take the blob from another repository of its own.

        Returns:
            The repository that it took it from; None where it was in none of them.
        """
        for other in repositories:
            try:
                if self._start({"mount": self._blob.digest, "from": other}, pull_scope(other)):
                    return other
            except RegistryError:
                # Perhaps we may not read there any more; sending it is always possible.
                self._cancellation.check()
        return None

    def _abandon(self) -> None:
        """Tell the registry that nothing more comes of an upload, if there is one."""
        if self._location:
            with contextlib.suppress(RegistryError):
                self._request("DELETE", {}, None, (204, 200, 202)).close()
            self._location = ""

    def send(self) -> None:
        """Send the blob.

        Raises:
            RegistryError: The registry refuses it, or cannot be reached for too long.
        """
        failures = 0
        done = 0
        while True:
            try:
                self._send_all(done)
                return
            except (RegistryUnreachableError, RegistryBusyError, NotInRegistryError) as error:
                self._cancellation.check()
                failures += 1
                if failures >= self._settings.attempts or _is_final(error):
                    raise
                self._cancellation.wait(pause_before(failures, self._settings.pause))
                got = self._arrived()
                failures = 1 if got > done else failures
                done = got

    def _send_all(self, done: int) -> None:
        """Send what is missing after so many bytes, and have the registry check the whole."""
        if not self._location:
            self._start({})
            done = 0
        if done == 0 and self._blob.size <= self._chunk:
            self._finish(0)
            return
        while done < self._blob.size:
            end = min(done + self._chunk, self._blob.size)
            headers = {
                **_OCTETS,
                "Content-Range": f"{done}-{end - 1}",
                "Content-Length": str(end - done),
            }
            part = self._part(done, end)
            with self._request("PATCH", headers, part, (202, 201, 416)) as response:
                if response.status == 416:
                    self._location = ""
                    raise RegistryBusyError(f"{response.host} has lost count of an upload")
                self._follow(response)
            done = end
        self._finish(done)

    def _start(self, query: dict[str, str], *scopes: str) -> bool:
        """Begin an upload; return whether there is nothing to send, because it was mounted."""
        self._abandon()
        path = f"{self._repository.base}/blobs/uploads/"
        path += f"?{urlencode(query)}" if query else ""
        with self._repository.connection.request(
            "POST",
            path,
            (*self._repository.pushing, *scopes),
            headers={"Content-Length": "0"},
            expected=(201, 202),
        ) as response:
            if response.status == 201:
                return True
            self._follow(response)
            smallest = response.headers.get("OCI-Chunk-Min-Length", "")
            if smallest.isdecimal():
                self._chunk = max(self._chunk, int(smallest))
            return False

    def _finish(self, done: int) -> None:
        """Close the upload, with all of the blob if nothing was sent before."""
        joint = "&" if urlsplit(self._location).query else "?"
        self._location += joint + urlencode({"digest": self._blob.digest})
        size = self._blob.size - done
        headers = {**_OCTETS, "Content-Length": str(size)}
        location, self._location = self._location, ""  # it is good for once
        body = self._part(done, self._blob.size) if size else None
        self._request("PUT", headers, body, (201, 204), location).close()
        self._meter.at(self._blob.size)

    def _arrived(self) -> int:
        """Ask how much of the blob has arrived; forget the upload if the registry has."""
        if not self._location:
            return 0
        try:
            with self._request("GET", {}, None, (204, 202, 200)) as response:
                self._follow(response)
                match = _range.fullmatch(response.headers.get("Range", "").strip())
        except RegistryError:
            self._cancellation.check()
            match = None
        if match is None:
            self._location = ""
            return 0
        # The header cannot say "nothing": "0-0" is what registries say then.
        last = int(match[1])
        return min(last + 1, self._blob.size) if last else 0

    def _request(
        self,
        method: str,
        headers: dict[str, str],
        body: Body | None,
        expected: Sequence[int],
        location: str = "",
    ) -> Response:
        return self._repository.connection.request(
            method,
            location or self._location,
            self._repository.pushing,
            headers=headers,
            body=body,
            attempts=1 if body else None,  # a part that broke off is not sent again unasked
            expected=expected,
        )

    def _follow(self, response: Response) -> None:
        """Go on where the registry says, which may be another host, but never one without TLS."""
        target = urljoin(response.url, response.headers.get("Location", ""))
        asked, parts = urlsplit(response.url), urlsplit(target)
        if parts.netloc == asked.netloc:
            # A registry behind a proxy may not know that it is spoken to by TLS.
            target = urlunsplit(parts._replace(scheme=asked.scheme))
        else:
            self._repository.connection.transport.check_redirect(response.url, target)
        self._location = target

    def _part(self, start: int, end: int) -> Body:
        return lambda: _Part(self._blob.path, start, end, self._meter, self._cancellation)


class _Part:
    """Some bytes of a file, as HTTP reads them."""

    def __init__(
        self, path: Path, start: int, end: int, meter: Meter, cancellation: Cancellation
    ) -> None:
        self._file: BinaryIO = path.open("rb", buffering=0)
        self._file.seek(start)
        self._at, self._end = start, end
        self._meter = meter
        self._cancellation = cancellation

    def read(self, size: int = -1, /) -> bytes:
        """Read on; the empty string at the end of the part."""
        self._cancellation.check()
        left = self._end - self._at
        piece = self._file.read(left if size < 0 else min(size, left))
        self._at += len(piece)
        self._meter.at(self._at)
        return piece

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _is_final(error: RegistryError) -> bool:
    """Whether the registry does not know the repository, rather than the upload."""
    return isinstance(error, NotInRegistryError) and error.code == "NAME_UNKNOWN"
