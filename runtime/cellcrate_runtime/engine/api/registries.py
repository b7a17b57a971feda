"""Registries: logging in to one, and asking one about an image."""

from __future__ import annotations

from typing import Any

import msgspec

from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.api.transfers import credential_of, once, settings_of
from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.images.references import Reference, parse
from cellcrate_runtime.images.registry.credentials import Credential, read_auth_config
from cellcrate_runtime.images.registry.progress import Cancellation
from cellcrate_runtime.images.registry.settings import RegistrySettings

__all__ = ["routes"]


class Auth(Handler):
    """``POST /auth``."""

    async def post(self) -> None:
        """Find out whether a registry knows a user; nothing is kept here."""
        from cellcrate_runtime.images.registry.login import domain_of, log_in

        try:
            credential = read_auth_config(self.request.body)
            fields = msgspec.json.decode(self.request.body or b"{}", type=dict[str, Any])
        except ValueError as error:
            # What it holds is not repeated: it is a password.
            raise BadRequestError("invalid JSON: it is no AuthConfig") from error
        domain = domain_of(str(fields.get("serveraddress") or ""))
        settings = settings_of(self)
        kept = await self.or_disconnect(
            once(Cancellation(), lambda: log_in(domain, settings, credential))
        )
        self.write_json({"Status": "Login Succeeded", "IdentityToken": kept.identity_token})


class Distribution(Handler):
    """``GET /distribution/{name}/json``."""

    async def get(self, name: str) -> None:
        """Say what a name means in its registry, and for which platforms it is."""
        reference = parse(name).with_default_tag()
        settings, credential = settings_of(self), credential_of(self)
        cancellation = Cancellation()

        def ask() -> dict[str, Any]:
            return _asked(reference, settings, credential, cancellation)

        self.write_json(await self.or_disconnect(once(cancellation, ask)))


def _asked(
    reference: Reference,
    settings: RegistrySettings,
    credential: Credential,
    cancellation: Cancellation,
) -> dict[str, Any]:
    from cellcrate_runtime.images.registry.inspecting import inspect
    from cellcrate_runtime.images.registry.transport import Transport

    transport = Transport(settings, cancellation)
    try:
        found = inspect(reference, transport, credential)
    finally:
        transport.close()
    return {
        "Descriptor": {
            "mediaType": found.media_type,
            "digest": found.digest,
            "size": found.size,
        },
        "Platforms": [msgspec.to_builtins(platform) for platform in found.platforms],
    }


def routes() -> list[Route]:
    """Return the paths of this module."""
    return [
        (r"/auth", Auth, {}),
        (r"/distribution/(?P<name>.+)/json", Distribution, {}),
    ]
