"""``POST /commit``: an image of a container."""

from __future__ import annotations

from cellcrate_runtime.engine import committing
from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.api.types import ContainerConfig
from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.engine.image_documents import named

__all__ = ["routes"]


class Commit(Handler):
    """``POST /commit``."""

    async def post(self) -> None:
        """Make an image of what a container has changed."""
        if not self.query("container"):
            raise BadRequestError("container is missing: name the container to commit")
        container = self.engine.containers.get(self.query("container"))
        # Clients send null, or nothing, for the configuration that the container has.
        empty = self.request.body.strip() in (b"", b"null", b"{}")
        request = committing.Commit(
            name=named(self.query("repo"), self.query("tag")),
            config=None if empty else self.body(ContainerConfig),
            changes=self.get_query_arguments("changes"),
            comment=self.query("comment"),
            author=self.query("author"),
            pause=self.query_bool("pause", default=True),
        )
        image = await committing.commit(self.engine, container, request)
        self.write_json({"Id": image.id}, 201)


def routes() -> list[Route]:
    """Return the paths of this module."""
    return [(r"/commit", Commit, {})]
