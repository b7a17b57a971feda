"""``docker push``: an image, or all of a repository's, to a registry."""

from __future__ import annotations

from dataclasses import replace

from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.api.streams import send_all
from cellcrate_runtime.engine.api.transfers import Transfer, credential_of, encoded, settings_of
from cellcrate_runtime.images.references import parse
from cellcrate_runtime.images.registry.progress import Cancellation, Report

__all__ = ["routes"]


class Push(Handler):
    """``POST /images/{name}/push``."""

    async def post(self, name: str) -> None:
        """Push a tag, or without one all of them; a failure is the last document, as in Docker."""
        from cellcrate_runtime.images.registry.push import push

        reference = parse(name)
        if tag := self.query("tag"):
            reference = parse(f"{replace(reference, tag=None).canonical}:{tag}")
        cancellation = Cancellation()
        settings, credential = settings_of(self), credential_of(self)

        def work(report: Report) -> None:
            images = self.engine.images
            push(
                images,
                reference,
                settings,
                credential,
                report=report,
                cancellation=cancellation,
            )

        def publish() -> None:
            shown = {"name": reference.familiar_name}
            self.engine.events.publish("image", "push", reference.familiar, shown)

        await send_all(self, encoded(Transfer(cancellation, work).steps(), publish))


def routes() -> list[Route]:
    """Return the paths of this module."""
    return [(r"/images/(?P<name>.+)/push", Push, {})]
