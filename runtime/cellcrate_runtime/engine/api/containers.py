"""Containers: list, create, inspect, and all that is done to a container as a whole."""

from __future__ import annotations

from typing import Any, cast, get_args

from cellcrate_runtime.engine import (
    creating,
    describing,
    listing,
    removing,
    starting,
    stopping,
    updating,
)
from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.api.types import CreateRequest, UpdateRequest
from cellcrate_runtime.engine.container import WaitCondition
from cellcrate_runtime.engine.errors import BadRequestError, NotServedError
from cellcrate_runtime.engine.filters import Filters
from cellcrate_runtime.engine.sizes import sizes

__all__ = ["routes"]


class List(Handler):
    """``GET /containers/json``."""

    async def get(self) -> None:
        """List containers, newest first."""
        filters = Filters.parse(self.query("filters"), listing.ACCEPTED_FILTERS)
        found = listing.select(
            self.engine,
            filters,
            everything=self.query_bool("all"),
            limit=self.query_int("limit", 0) or 0,
        )
        documents = [describing.summary_document(self.engine, container) for container in found]
        if self.query_bool("size"):
            for container, document in zip(found, documents, strict=True):
                document.update(await sizes(self.engine, container))
        self.write_json(documents)


class Create(Handler):
    """``POST /containers/create``."""

    async def post(self) -> None:
        """Make a container."""
        if not self.request.body:
            raise BadRequestError("config cannot be empty in order to create a container")
        request = self.body(CreateRequest)
        platform = self.query("platform")
        if platform and not platform.startswith("linux"):
            raise NotServedError(f"the platform {platform!r}")
        image = self.engine.images.get(request.image) if request.image else None
        if image is None:
            raise BadRequestError("no image was named. Name one, such as cellcrate/base")
        container, warnings = await creating.create(self.engine, request, self.query("name"), image)
        self.write_json({"Id": container.id, "Warnings": warnings}, 201)


class Inspect(Handler):
    """``GET /containers/{id}/json``."""

    async def get(self, name: str) -> None:
        """Describe one container."""
        container = self.engine.containers.get(name)
        document = describing.inspect_document(self.engine, container)
        if self.query_bool("size"):
            document.update(await sizes(self.engine, container))
        self.write_json(document)


class Start(Handler):
    """``POST /containers/{id}/start``."""

    async def post(self, name: str) -> None:
        """Start a container."""
        if self.query("checkpoint"):
            raise NotServedError("starting from a checkpoint")
        await starting.start(self.engine, self.engine.containers.get(name))
        self.no_content()


class Stop(Handler):
    """``POST /containers/{id}/stop``."""

    async def post(self, name: str) -> None:
        """Ask a container to end, and kill it when it has not in time."""
        container = self.engine.containers.get(name)
        await stopping.stop(
            self.engine,
            container,
            signal_name=self.query("signal"),
            timeout=self.query_int("t"),
        )
        self.no_content()


class Restart(Handler):
    """``POST /containers/{id}/restart``."""

    async def post(self, name: str) -> None:
        """Stop a container and start it again."""
        container = self.engine.containers.get(name)
        await stopping.restart(
            self.engine,
            container,
            signal_name=self.query("signal"),
            timeout=self.query_int("t"),
        )
        self.no_content()


class Kill(Handler):
    """``POST /containers/{id}/kill``."""

    async def post(self, name: str) -> None:
        """Send a signal."""
        container = self.engine.containers.get(name)
        await stopping.kill(self.engine, container, self.query("signal"))
        self.no_content()


class Pause(Handler):
    """``POST /containers/{id}/pause``."""

    async def post(self, name: str) -> None:
        """Stop all processes where they are."""
        await stopping.pause(self.engine, self.engine.containers.get(name))
        self.no_content()


class Unpause(Handler):
    """``POST /containers/{id}/unpause``."""

    async def post(self, name: str) -> None:
        """Let them go on."""
        await stopping.unpause(self.engine, self.engine.containers.get(name))
        self.no_content()


class Wait(Handler):
    """``POST /containers/{id}/wait``."""

    async def post(self, name: str) -> None:
        """Wait until a container has ended, ends the next time, or is removed."""
        container = self.engine.containers.get(name)
        condition = self.query("condition", "not-running")
        if condition not in get_args(WaitCondition):
            raise BadRequestError(
                f'invalid condition: "{condition}". It can be {", ".join(get_args(WaitCondition))}'
            )
        ended = container.wait(cast("WaitCondition", condition))
        # The headers go now: `docker run` starts the container only once it is sure to be heard.
        self.set_header("Content-Type", "application/json")
        status = await self.headers_first(ended)
        document: dict[str, Any] = {"StatusCode": status.code}
        if status.error:
            document["Error"] = {"Message": status.error}
        await self.stream_json(document)
        self.finish()


class Rename(Handler):
    """``POST /containers/{id}/rename``."""

    async def post(self, name: str) -> None:
        """Give a container another name."""
        container = self.engine.containers.get(name)
        await updating.rename(self.engine, container, self.query("name"))
        self.no_content()


class Update(Handler):
    """``POST /containers/{id}/update``."""

    async def post(self, name: str) -> None:
        """Change limits and the restart policy."""
        container = self.engine.containers.get(name)
        await updating.update(self.engine, container, self.body(UpdateRequest))
        self.write_json({"Warnings": None})


class Remove(Handler):
    """``DELETE /containers/{id}``."""

    async def delete(self, name: str) -> None:
        """Remove a container. Its anonymous volumes are in it, so ``v`` changes nothing."""
        container = self.engine.containers.get(name)
        if self.query_bool("link"):
            raise NotServedError("links between containers (docker rm --link)")
        await removing.remove(self.engine, container, force=self.query_bool("force"))
        self.no_content()


def routes() -> list[Route]:
    """Return the paths of this module."""
    container = r"/containers/(?P<name>[^/]+)"
    return [
        (r"/containers/json", List, {}),
        (r"/containers/create", Create, {}),
        (rf"{container}/json", Inspect, {}),
        (rf"{container}/start", Start, {}),
        (rf"{container}/stop", Stop, {}),
        (rf"{container}/restart", Restart, {}),
        (rf"{container}/kill", Kill, {}),
        (rf"{container}/pause", Pause, {}),
        (rf"{container}/unpause", Unpause, {}),
        (rf"{container}/wait", Wait, {}),
        (rf"{container}/rename", Rename, {}),
        (rf"{container}/update", Update, {}),
        (container, Remove, {}),
    ]
