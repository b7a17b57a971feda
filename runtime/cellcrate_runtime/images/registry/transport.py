"""HTTP to registries and to those that they send us to: TLS, time limits, redirects, patience.

Nothing of an address but its host is ever told, because addresses carry signatures and tokens.
"""

from __future__ import annotations

import contextlib
import io
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3 import exceptions

from cellcrate_runtime.images.digests import Readable
from cellcrate_runtime.images.registry.endpoints import may_be_plain
from cellcrate_runtime.images.registry.errors import (
    RegistryBusyError,
    RegistryError,
    RegistryUnreachableError,
)
from cellcrate_runtime.images.registry.failures import NotTLSError, may_pass, unreachable
from cellcrate_runtime.images.registry.progress import Cancellation
from cellcrate_runtime.images.registry.proxies import pool_for
from cellcrate_runtime.images.registry.retrying import (
    LONGEST_PAUSE,
    PASSING,
    asked_pause,
    pause_before,
)
from cellcrate_runtime.images.registry.settings import RegistrySettings
from cellcrate_runtime.images.registry.tls import tls_context
from cellcrate_runtime.version import own_version

__all__ = ["Body", "Content", "Response", "Transport"]


class Content(Readable, Protocol):
    """What a request carries."""

    def close(self) -> None: ...


Body = Callable[[], Content]
"""Opens what is to be sent, anew for each attempt."""

PIECE = 1 << 20
_WORTH_READING = 16 << 10  # bytes
_MOST_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONNECT_PATIENCE = 15.0  # seconds
_CONNECTIONS = 8  # kept open to one host
_log = logging.getLogger("cellcrate.registry")


class Response:
    """An answer whose body has not been read yet. Close it, or use it as a context."""

    def __init__(self, raw: Any, url: str, forget: Callable[[Any], None]) -> None:
        self._raw = raw
        self._forget = forget
        self.url = url
        self.status: int = raw.status
        self.headers: Mapping[str, str] = raw.headers

    @property
    def host(self) -> str:
        """Who answered."""
        return urlsplit(self.url).netloc

    def pieces(self) -> Iterator[bytes]:
        """Read the body piece by piece.

        Raises:
            RegistryUnreachableError: The connection broke, or nothing came for too long.
        """
        try:
            # As it comes: waiting for a whole piece would lose the part that came before a stall.
            while piece := self._raw.read1(PIECE):
                yield piece
        except (exceptions.HTTPError, OSError, ValueError) as error:
            # A ValueError is a read of what a cancellation has closed meanwhile.
            raise unreachable(self.host, error) from error

    def document(self, limit: int) -> bytes:
        """Read a body that has to be small.

        Raises:
            RegistryError: It is larger than `limit` bytes; so much is read of it, and no more.
            RegistryUnreachableError: The connection broke.
        """
        content = bytearray()
        for piece in self.pieces():
            content += piece
            if len(content) > limit:
                raise RegistryError(
                    f"{self.host} sends a document of more than {limit} bytes, which is none of "
                    "a registry's."
                )
        return bytes(content)

    def close(self) -> None:
        """Give the connection back, or up if there is much to come on it."""
        length = self.headers.get("Content-Length", "0" if self.status == 204 else "")
        if length.isdecimal() and int(length) <= _WORTH_READING:
            self._raw.drain_conn()  # an error that nobody reads; a new connection costs more
        self._forget(self._raw)
        # What was read to its end has given its connection back already.
        self._raw.close()

    def __enter__(self) -> Response:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Transport:
    """Connections to hosts, for as long as one pull or push takes. Threads may share it."""

    def __init__(
        self, settings: RegistrySettings, cancellation: Cancellation | None = None
    ) -> None:
        self.settings = settings
        self.cancellation = cancellation or Cancellation()
        self._guard = threading.Lock()
        self._pools: dict[str, Any] = {}
        self._open: set[Any] = set()
        self.cancellation.on_cancel(self._shut_down)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        authorization: str | None = None,
        body: Body | None = None,
        attempts: int | None = None,
    ) -> Response:
        """Send a request and return the answer, of whichever status, with its body unread.

        Args:
            authorization: Shown to the host of `url`, and to no other that it redirects to.
            attempts: How often to try while the failure may pass; by default as often as the
                settings say.

        Raises:
            RegistryUnreachableError: No connection, or a redirect to where none may be made.
            RegistryBusyError: The host asks to wait for longer than anybody would.
            TransferCancelledError: It was cancelled.
        """
        tries = self.settings.attempts if attempts is None else attempts
        for attempt in range(1, tries + 1):
            self.cancellation.check()
            pause = pause_before(attempt, self.settings.pause)
            try:
                answer = self._follow(method, url, dict(headers or {}), authorization, body)
            except RegistryUnreachableError as error:
                self.cancellation.check()
                if attempt == tries or isinstance(error, NotTLSError) or not may_pass(error):
                    raise
                _log.info("%s; trying again in %.1f s", error, pause)
            else:
                if answer.status not in PASSING or attempt == tries:
                    return answer
                with answer:
                    pause = max(pause, self._asked_pause(answer))
            self.cancellation.wait(pause)
        raise AssertionError("at least one attempt is made")

    def _asked_pause(self, answer: Response) -> float:
        asked = asked_pause(answer.headers.get("Retry-After")) or 0.0
        if asked > LONGEST_PAUSE:
            raise RegistryBusyError(
                f"{answer.host} is busy ({answer.status}) and asks to come back in {asked:.0f} "
                "seconds. Try again then; logging in often raises a registry's limits."
            )
        _log.info("%s answers %d; trying again", answer.host, answer.status)
        return asked

    def _follow(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        authorization: str | None,
        body: Body | None,
    ) -> Response:
        for _ in range(_MOST_REDIRECTS):
            shown = {**headers, "Authorization": authorization} if authorization else headers
            with contextlib.closing(body() if body else io.BytesIO()) as opened:
                answer = self._send(method, url, shown, opened if body else None)
            target = answer.headers.get("Location")
            if answer.status not in _REDIRECTS or method not in ("GET", "HEAD") or not target:
                return answer
            with answer:
                target = urljoin(url, target)
            self.check_redirect(url, target)
            if _origin(target) != _origin(url):
                authorization = None
            url = target
        raise RegistryUnreachableError(
            f"{_host(url)} redirects in circles: {_MOST_REDIRECTS} times in a row."
        )

    def check_redirect(self, url: str, target: str) -> None:
        """Refuse to be sent to where TLS would be given up, or HTTP left.

        Raises:
            RegistryUnreachableError: That is where `target` is, seen from `url`.
        """
        parts = urlsplit(target)
        if parts.scheme == "https" and parts.netloc:
            return
        if parts.scheme == "http" and urlsplit(url).scheme == "http":
            if may_be_plain(parts.netloc, self.settings):
                return
            reason = "which would be used without TLS and is not among insecure-registries"
        else:
            reason = "which would give up the safety of TLS"
        raise RegistryUnreachableError(
            f"{_host(url)} redirects to {parts.scheme}://{parts.hostname or ''}, {reason}. "
            "The redirect was not followed."
        )

    def _send(
        self, method: str, url: str, headers: dict[str, str], body: Readable | None
    ) -> Response:
        try:
            raw = self._pool(url).request(
                method,
                url,
                body=body,
                headers={"User-Agent": f"cellcrate/{own_version()}", **headers},
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
                assert_same_host=False,
            )
        except (exceptions.HTTPError, OSError) as error:
            raise unreachable(_host(url), error) from error
        with self._guard:
            self._open.add(raw)
        return Response(raw, url, self._forget)

    def _forget(self, raw: Any) -> None:
        with self._guard:
            self._open.discard(raw)

    def _pool(self, url: str) -> Any:
        netloc = urlsplit(url).netloc
        with self._guard:
            if netloc not in self._pools:
                self._pools[netloc] = self._new_pool(url)
            return self._pools[netloc]

    def _new_pool(self, url: str) -> Any:
        patience = self.settings.patience
        options: dict[str, Any] = {
            "maxsize": _CONNECTIONS,
            "timeout": urllib3.Timeout(connect=min(_CONNECT_PATIENCE, patience), read=patience),
            "ssl_context": tls_context(urlsplit(url).netloc, self.settings),
            "blocksize": 1 << 18,
        }
        return pool_for(url, **options)

    def _shut_down(self) -> None:
        """Wake those who wait for a body."""
        with self._guard:
            waiting = list(self._open)
        for raw in waiting:
            # There is nothing to wake where the body has just been read to its end.
            with contextlib.suppress(ValueError, OSError, RuntimeError):
                raw.shutdown()

    def close(self) -> None:
        """Close the connections."""
        with self._guard:
            pools = list(self._pools.values())
            self._pools.clear()
        for pool in pools:
            pool.clear()


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _host(url: str) -> str:
    return urlsplit(url).netloc
