"""Who somebody is to a registry."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

import msgspec

from cellcrate_runtime.images.registry.errors import InvalidRequestError

__all__ = ["ANONYMOUS", "Credential", "read_auth_header", "read_config_header"]


@dataclass(frozen=True, slots=True)
class Credential:
    """A user's name and password, or a token in their place. It shows no secret when printed.

    Attributes:
        identity_token: For this, an authorization server gives tokens (OAuth 2's refresh token).
        registry_token: This, a registry takes as it is.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @property
    def has_password(self) -> bool:
        """Whether it can be used for basic authentication."""
        return bool(self.username)

    def basic(self) -> str:
        """The header ``Authorization`` of RFC 7617."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


ANONYMOUS = Credential()


class _AuthConfig(msgspec.Struct, rename="lower"):
    """Docker's ``AuthConfig``, as API clients send it."""

    username: str | None = None
    password: str | None = None
    auth: str | None = None
    serveraddress: str | None = None
    identitytoken: str | None = None
    registrytoken: str | None = None


def read_auth_header(header: str) -> Credential:
    """Read ``X-Registry-Auth``: JSON in base64 of the alphabet for addresses.

    Source: Docker Engine API reference, "Authentication".

    Raises:
        InvalidRequestError: It cannot be read. The message does not repeat it.
    """
    if not header:
        return ANONYMOUS
    try:
        return read_auth_config(_decoded(header))
    except ValueError as error:
        raise _unreadable("X-Registry-Auth") from error


def read_config_header(header: str) -> dict[str, Credential]:
    """Read ``X-Registry-Config``: as :func:`read_auth_header`, for several servers by address.

    Source: Docker Engine API reference, "ImageBuild".

    Raises:
        InvalidRequestError: It cannot be read. The message does not repeat it.
    """
    if not header:
        return {}
    try:
        each = msgspec.json.decode(_decoded(header) or b"{}", type=dict[str, msgspec.Raw] | None)
        return {server: read_auth_config(bytes(one)) for server, one in (each or {}).items()}
    except ValueError as error:
        raise _unreadable("X-Registry-Config") from error


def _decoded(header: str) -> bytes:
    text = header.strip().replace("+", "-").replace("/", "_").rstrip("=")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _unreadable(header: str) -> InvalidRequestError:
    return InvalidRequestError(f"invalid {header} header: it is not JSON in base64")


def read_auth_config(content: bytes) -> Credential:
    """Read an ``AuthConfig``.

    Raises:
        ValueError: It is none. (msgspec's errors are ValueErrors.)
    """
    read = msgspec.json.decode(content or b"{}", type=_AuthConfig | None) or _AuthConfig()
    username, password = read.username or "", read.password or ""
    if read.auth and not username:
        username, password = read_pair(read.auth)
    return Credential(username, password, read.identitytoken or "", read.registrytoken or "")


def read_pair(auth: str) -> tuple[str, str]:
    """Read ``user:password`` in base64.

    Raises:
        ValueError: It is not that.
    """
    username, colon, password = base64.b64decode(auth).decode().partition(":")
    if not colon:
        raise ValueError("there is no colon between a name and a password")
    return username, password.strip("\0")
