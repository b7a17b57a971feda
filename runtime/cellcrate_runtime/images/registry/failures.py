"""What went wrong with a connection, in words that name the host and nothing else of an address."""

from __future__ import annotations

import ssl

from urllib3 import exceptions

from cellcrate_runtime.images.registry.errors import RegistryUnreachableError

__all__ = ["NotTLSError", "may_pass", "unreachable"]

# What OpenSSL says of an answer that is no TLS; "HTTP_REQUEST" of one that it knows.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL")


class NotTLSError(RegistryUnreachableError):
    """Somebody answers there, but not by TLS."""


def may_pass(error: RegistryUnreachableError) -> bool:
    """Whether it may go better the next time; a bad certificate or a refused connection will not.

    What broke after a connection stood may.
    """
    cause = error.__cause__
    return isinstance(
        cause,
        exceptions.ProtocolError | exceptions.ReadTimeoutError | exceptions.IncompleteRead,
    ) or (isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError))


def unreachable(host: str, error: Exception) -> RegistryUnreachableError:
    """Say what went wrong with a connection, without the address, which may hold secrets."""
    text = str(error)
    if isinstance(error, exceptions.SSLError | ssl.SSLError):
        if any(word in text for word in _NO_TLS):
            return NotTLSError(
                f"http: server gave HTTP response to HTTPS client: {host} does not speak TLS. If "
                f'that is meant, add "{host}" to insecure-registries in daemon.json.'
            )
        if "CERTIFICATE_VERIFY_FAILED" in text:
            return RegistryUnreachableError(
                f"x509: the certificate of {host} is not to be trusted ({_reason(text)}). If its "
                f"authority is yours, put that as a file ca.crt into certs.d/{host}/ of the data "
                "folder or of /etc/docker."
            )
        return RegistryUnreachableError(f"TLS with {host} failed: {_reason(text)}")
    if isinstance(error, exceptions.NameResolutionError):
        return RegistryUnreachableError(
            f"lookup {host}: no such host, or no network. Look at the first part of the image's "
            "name, and at this machine's network."
        )
    if isinstance(error, exceptions.NewConnectionError):  # a kind of the next one
        return RegistryUnreachableError(f"{host} cannot be reached: {_reason(text)}")
    if isinstance(error, exceptions.ConnectTimeoutError):
        return RegistryUnreachableError(f"{host} does not answer: connecting took too long")
    if isinstance(error, exceptions.ReadTimeoutError):
        return RegistryUnreachableError(f"{host} has stopped sending")
    if isinstance(error, exceptions.ProxyError):
        return RegistryUnreachableError(f"{host} cannot be reached through the proxy")
    return RegistryUnreachableError(f"the connection to {host} broke ({type(error).__name__})")


def _reason(text: str) -> str:
    """What the system said, at the end of what its callers wrapped it into."""
    for mark in ("certificate verify failed: ", "Errno"):
        if mark in text:
            tail = text.partition(mark)[2]
            return tail.partition("] ")[2] or tail.partition(" (_ssl")[0]
    return text.rpartition(": ")[2]
