"""Answering a registry's question who asks: by passwords, and by tokens that others give for them.

Sources: RFC 7617 (Basic), RFC 6750 (Bearer), and distribution's docs/spec/auth: token.md (tokens by
GET), oauth.md (by POST, for an identity token) and scope.md.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import msgspec

from cellcrate_runtime.images.registry.challenges import Challenge
from cellcrate_runtime.images.registry.credentials import Credential
from cellcrate_runtime.images.registry.endpoints import may_be_plain
from cellcrate_runtime.images.registry.errors import (
    AccessDeniedError,
    LoginFailedError,
    RegistryError,
)
from cellcrate_runtime.images.registry.transport import Response, Transport

__all__ = ["Authenticator", "Scope", "pull_scope", "push_scope"]

Scope = str
CLIENT_ID = "cellcrate"
LARGEST_TOKEN_ANSWER = 1 << 20
# Older servers do not say how long a token is good for: so long, by token.md.
SHORTEST_LIFE = 60.0  # seconds
_MARGIN = 10.0  # seconds before its end in which a token is not used any more


def pull_scope(repository: str) -> Scope:
    """The right to read from a repository."""
    return f"repository:{repository}:pull"


def push_scope(repository: str) -> Scope:
    """The right to read from a repository and to write to it."""
    return f"repository:{repository}:pull,push"


class _TokenAnswer(msgspec.Struct):
    token: str | None = None
    access_token: str | None = None
    expires_in: float | None = None
    refresh_token: str | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    header: str
    end: float  # of its life, by time.monotonic


class Authenticator:
    """What to show to one registry. Threads may share it.

    Args:
        credential: Who we are to the registry.
    """

    def __init__(self, transport: Transport, credential: Credential) -> None:
        self._transport = transport
        self._credential = credential
        self._guard = threading.Lock()
        self._challenge: Challenge | None = None
        self._kept: dict[tuple[Scope, ...], _Kept] = {}
        self.identity_token = ""
        """What the authorization server gave to be used in a password's place, when it did."""

    def known(self, scopes: Sequence[Scope]) -> str | None:
        """The header for a request, where it is known already what the registry wants.

        Raises:
            RegistryError: A new token was needed, and not given.
        """
        if self._credential.registry_token:
            return f"Bearer {self._credential.registry_token}"
        if self._challenge is None:
            return None
        return self._answer(self._challenge, scopes)

    def answer(self, challenges: Sequence[Challenge], scopes: Sequence[Scope]) -> str:
        """The header for a request that was refused with these challenges.

        Raises:
            AccessDeniedError: There is no answer to them without logging in, or none at all.
            LoginFailedError: The name or the password is wrong.
        """
        with self._guard:
            self._kept.pop(_key(scopes), None)  # it was refused, so it is of no use
        for wanted in ("bearer", "basic"):
            for challenge in challenges:
                if challenge.scheme == wanted:
                    self._challenge = challenge
                    return self._answer(challenge, scopes)
        schemes = ", ".join(challenge.scheme for challenge in challenges) or "nothing"
        raise AccessDeniedError(
            f"the registry refuses and asks for {schemes}; understood here are Bearer and Basic."
        )

    def _answer(self, challenge: Challenge, scopes: Sequence[Scope]) -> str:
        if challenge.scheme == "basic":
            if not self._credential.has_password:
                raise AccessDeniedError("no basic auth credentials", "UNAUTHORIZED")
            return self._credential.basic()
        # One at a time, so that layers that start together ask for one token together.
        with self._guard:
            kept = self._kept.get(_key(scopes))
            if kept is None or time.monotonic() >= kept.end:
                kept = self._fetch(challenge, scopes)
                self._kept[_key(scopes)] = kept
            return kept.header

    def _fetch(self, challenge: Challenge, scopes: Sequence[Scope]) -> _Kept:
        """Get a token from the server that the challenge names."""
        realm = challenge.parameters.get("realm", "")
        self._check(realm)
        fields = [("scope", scope) for scope in scopes]
        if service := challenge.parameters.get("service"):
            fields.append(("service", service))
        asked = time.monotonic()
        if self._credential.identity_token:
            answer = self._by_post(realm, fields, " ".join(scopes))
        else:
            answer = self._by_get(realm, fields)
        token = answer.token or answer.access_token
        if not token:
            raise RegistryError(f"{urlsplit(realm).netloc} gave no token, and no reason.")
        if answer.refresh_token:
            self.identity_token = answer.refresh_token
        life = max(answer.expires_in or 0.0, SHORTEST_LIFE) - _MARGIN
        return _Kept(f"Bearer {token}", asked + life)

    def _check(self, realm: str) -> None:
        """See that a password would not travel in the open."""
        parts = urlsplit(realm)
        safe = parts.scheme == "https" or (
            parts.scheme == "http" and may_be_plain(parts.netloc, self._transport.settings)
        )
        if not safe or not parts.netloc or parts.username is not None:
            raise AccessDeniedError(
                f'the registry sends to "{parts.scheme}://{parts.hostname or ""}" for a token, '
                "which is no place to show a password to: it has no TLS, and is neither this "
                "machine nor among insecure-registries."
            )

    def _by_get(self, realm: str, fields: list[tuple[str, str]]) -> _TokenAnswer:
        credential = self._credential
        if credential.has_password:
            fields = [
                *fields,
                ("account", credential.username),
                ("client_id", CLIENT_ID),
                ("offline_token", "true"),
            ]
        joint = "&" if urlsplit(realm).query else "?"
        url = realm + (joint + urlencode(fields) if fields else "")
        shown = credential.basic() if credential.has_password else None
        with self._transport.request("GET", url, authorization=shown) as response:
            return _read(response, anonymous=shown is None)

    def _by_post(self, realm: str, fields: list[tuple[str, str]], scope: str) -> _TokenAnswer:
        form = [field for field in fields if field[0] != "scope"]
        form += [
            ("grant_type", "refresh_token"),
            ("refresh_token", self._credential.identity_token),
            ("client_id", CLIENT_ID),
        ]
        content = urlencode([*form, *([("scope", scope)] if scope else [])]).encode()
        with self._transport.request(
            "POST",
            realm,
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Content-Length": str(len(content)),
            },
            body=lambda: io.BytesIO(content),
        ) as response:
            return _read(response, anonymous=False)


def _key(scopes: Sequence[Scope]) -> tuple[Scope, ...]:
    return tuple(sorted(scopes))


def _read(response: Response, anonymous: bool) -> _TokenAnswer:
    """Read what an authorization server answers; nothing of it is repeated to people."""
    content = response.document(LARGEST_TOKEN_ANSWER)
    if response.status in (400, 401, 403):
        if anonymous:
            raise AccessDeniedError("denied: requested access to the resource is denied", "DENIED")
        raise LoginFailedError(
            f"{response.host}: unauthorized: incorrect username or password, or no right to what "
            "was asked for",
            "UNAUTHORIZED",
        )
    if response.status != 200:
        raise RegistryError(f"{response.host} answers {response.status} when asked for a token")
    try:
        return msgspec.json.decode(content, type=_TokenAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RegistryError(f"{response.host} gave something that is no token") from error
