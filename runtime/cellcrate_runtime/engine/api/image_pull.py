"""``docker pull``: an image, or all of a repository's, from a registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from cellcrate_runtime.engine.api.app import Handler
from cellcrate_runtime.engine.api.streams import send_all
from cellcrate_runtime.engine.api.transfers import (
    Transfer,
    credential_of,
    encoded,
    once,
    settings_of,
)
from cellcrate_runtime.images.references import Reference
from cellcrate_runtime.images.registry.progress import Cancellation, Report

if TYPE_CHECKING:
    from cellcrate_runtime.images.documents import Platform
    from cellcrate_runtime.images.registry.pull import Puller

__all__ = ["pull"]


async def pull(handler: Handler, name: Reference, platform: str) -> None:
    """Answer ``POST /images/create`` for what a registry has.

    What a name means is found out before the answer begins, so that a name that means nothing is
    answered with 404. A client that hangs up ends the pull; what came stays for the next one.

    Args:
        name: Without a tag and a digest it means all tags.
        platform: Such as ``linux/arm64``; the empty string for this machine's.
    """
    # Imported for those who pull: a client of HTTP takes a moment.
    from cellcrate_runtime.images.registry.platforms import parse_platform
    from cellcrate_runtime.images.registry.pull import Puller

    cancellation = Cancellation()
    wanted = parse_platform(platform) if platform else None
    puller = Puller(
        handler.engine.images, settings_of(handler), credential_of(handler), cancellation
    )

    def publish() -> None:
        shown = {"name": name.familiar_name}
        handler.engine.events.publish("image", "pull", name.familiar, shown)

    prepare = _one if name.tag or name.digest else _all
    try:
        finding = once(cancellation, lambda: prepare(puller, name, wanted))
        work = await handler.or_disconnect(finding)
        steps = Transfer(cancellation, work).steps()
        await send_all(handler, encoded(steps, publish))
    finally:
        puller.close()


def _one(puller: Puller, name: Reference, platform: Platform | None) -> Callable[[Report], None]:
    resolved = puller.resolve(name, platform)

    def work(report: Report) -> None:
        pulled = puller.fetch(resolved, report)
        report(pulled.status(name))

    return work


def _all(puller: Puller, name: Reference, platform: Platform | None) -> Callable[[Report], None]:
    tags = puller.tags(name)

    def work(report: Report) -> None:
        pulled = [
            puller.fetch(puller.resolve(replace(name, tag=tag), platform), report) for tag in tags
        ]
        for one in sorted(pulled, key=lambda one: not one.new)[:1]:
            report(one.status(name))

    return work
