"""Finding out whether a registry knows somebody, before the password is kept.

Source: distribution-spec 1.1, spec.md, "Determining Support"; distribution's docs/spec/auth.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from cellcrate_runtime.images.errors import InvalidReferenceError
from cellcrate_runtime.images.references import parse
from cellcrate_runtime.images.registry.connection import connect
from cellcrate_runtime.images.registry.credentials import Credential
from cellcrate_runtime.images.registry.endpoints import DOCKER_HUB
from cellcrate_runtime.images.registry.errors import InvalidRequestError
from cellcrate_runtime.images.registry.settings import RegistrySettings
from cellcrate_runtime.images.registry.transport import Transport

__all__ = ["domain_of", "log_in"]


def domain_of(server: str) -> str:
    """The registry that somebody means: ``https://index.docker.io/v1/`` is Docker Hub.

    Raises:
        InvalidRequestError: It is no registry's address.
    """
    address = server.strip()
    host = urlsplit(address).netloc if "://" in address else address.partition("/")[0]
    if not host:
        return DOCKER_HUB
    try:
        # A name in a registry has a first part that is one: a dot, a colon, or localhost.
        domain = parse(f"{host}/x").domain
    except InvalidReferenceError as error:
        raise InvalidRequestError(f'"{server}" is no address of a registry') from error
    if domain != host and host not in ("index.docker.io", "registry-1.docker.io"):
        raise InvalidRequestError(
            f'"{server}" is no address of a registry: write HOST or HOST:PORT'
        )
    return DOCKER_HUB if host.endswith(".docker.io") else domain


def log_in(domain: str, settings: RegistrySettings, credential: Credential) -> Credential:
    """Show a registry who we are; return what to keep: the same, or a token that it gave instead.

    Raises:
        LoginFailedError: The name or the password is wrong.
        RegistryUnreachableError: It does not answer.
    """
    transport = Transport(settings)
    try:
        connection = connect(domain, transport, credential)
        connection.request("GET", "/v2/", ()).close()
    finally:
        transport.close()
    token = connection.auth.identity_token
    if not token:
        return credential
    return Credential(username=credential.username, identity_token=token)
