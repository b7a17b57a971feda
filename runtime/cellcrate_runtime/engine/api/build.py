"""``POST /build``, Docker's classic builder, and ``POST /build/prune``."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import re
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from tornado.web import stream_request_body

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.api.errors import answer_for
from cellcrate_runtime.engine.api.types import HostConfig, Ulimit
from cellcrate_runtime.engine.building.cache_pruning import PruneWish, prune_cache
from cellcrate_runtime.engine.building.errors import BuildError
from cellcrate_runtime.engine.building.options import BuildOptions
from cellcrate_runtime.engine.building.telling import Teller
from cellcrate_runtime.engine.building.workspace import workspace
from cellcrate_runtime.engine.errors import BadRequestError, EngineError, NotServedError
from cellcrate_runtime.engine.etc_files import check_extra_hosts
from cellcrate_runtime.engine.filters import Filters
from cellcrate_runtime.engine.limits import check_limits
from cellcrate_runtime.engine.own_threads import Fed, in_own_thread
from cellcrate_runtime.images import Image, ImageError
from cellcrate_runtime.images.references import parse
from cellcrate_runtime.images.registry.credentials import Credential, read_config_header

if TYPE_CHECKING:
    from cellcrate_runtime.images.dockerfile.parser import Dockerfile

# What is only needed by those who build is imported by them: an engine starts on first use.

__all__ = ["routes"]

_T = TypeVar("_T")
_ANY_SIZE = 2**63
_SECRETS_HEADER = "X-Cellcrate-Build-Secrets"
_SECRET_NAME = re.compile("[A-Za-z0-9_.-]{1,128}")
_PRUNE_FILTERS = frozenset({"until", "id", "unused-for", "private", "shared", "inuse"})


@stream_request_body
class Build(Handler):
    """``POST /build``."""

    _has_arrived = False  # the whole context
    _held: contextlib.ExitStack | None = None

    def prepare(self) -> None:
        """Check what is asked for, and begin to unpack the context that arrives."""
        from cellcrate_runtime.engine.building.context import unpack_context

        super().prepare()
        self.request.connection.set_max_body_size(_ANY_SIZE)  # type: ignore[union-attr]
        self._refuse_unserved()
        self._options = self._read_options()
        self._held = contextlib.ExitStack()
        self._workspace = self._held.enter_context(workspace(self.engine.paths))
        context = self._workspace.context
        self._unpacking = Fed(lambda source: unpack_context(source, context))

    async def data_received(self, chunk: bytes) -> None:
        """Hand a piece of the context on."""
        await self._unpacking.write(chunk)

    async def post(self) -> None:
        """Build, and tell how it goes."""
        from cellcrate_runtime.engine.building.build import prepare

        self._has_arrived = True
        try:
            self._unpacking.end()
            await self._unpacking.done
            dockerfile = await prepare(self._options, self._workspace)
            teller = Teller(self._options.quiet)
            await self._tell(teller, asyncio.ensure_future(self._build(dockerfile, teller)))
        finally:
            if self._held is not None:
                await asyncio.to_thread(self._held.close)

    async def _build(self, dockerfile: Dockerfile, teller: Teller) -> None:
        from cellcrate_runtime.engine.building.build import build

        try:
            image = await build(self.engine, self._options, self._workspace, dockerfile, teller)
            for document in self._success(image):
                teller.add(document)
        except (BuildError, EngineError, ImageError, OSError) as error:
            teller.add(_failure(error))
        finally:
            teller.add(None)

    async def _tell(self, teller: Teller, working: asyncio.Task[None]) -> None:
        """Send what is said, until there is no more; a client that hangs up ends the build."""
        try:
            await self.stream(b"")
            while (document := await self.or_disconnect(teller.next())) is not None:
                await self.stream_json(document)
            await working
        finally:
            if not working.done():
                working.cancel()
            await asyncio.wait((working,))
        await self.finish()

    def on_connection_close(self) -> None:
        """Give a build up whose context has not arrived as a whole."""
        held = self._held
        if held is not None and not self._has_arrived:
            self._unpacking.give_up()
            self._unpacking.done.add_done_callback(lambda _: in_own_thread(held.close))
        super().on_connection_close()

    def on_finish(self) -> None:
        """Remove the build's folders, also where the body was never whole."""
        if self._held is not None:
            self._held.close()
        super().on_finish()

    def _success(self, image: Image) -> list[dict[str, Any]]:
        short = image.short_id
        if self._options.quiet:
            return [{"stream": f"{image.id}\n"}]
        names = [parse(tag).with_default_tag().familiar for tag in self._options.tags]
        for name in names:
            self.engine.events.publish("image", "tag", image.id, {"name": name})
        return [
            {"aux": {"ID": image.id}},
            {"stream": f"Successfully built {short}\n"},
            *({"stream": f"Successfully tagged {name}\n"} for name in names),
        ]

    # -- what is asked for -----------------------------------------------------------------------

    def _refuse_unserved(self) -> None:
        if self.query("version") == "2":
            raise NotServedError(
                "BuildKit's protocol", "Use the classic builder: DOCKER_BUILDKIT=0 docker build"
            )
        if self.query("remote") not in ("", "client-session"):
            raise NotServedError(
                "a build context at an address (remote)",
                "Fetch it, and build from the folder that it is in.",
            )
        if self.query_bool("squash"):
            raise NotServedError("squashing an image's layers (--squash)")
        if self.query("outputs") not in ("", "null", "[]"):
            raise NotServedError("another output than an image (--output)")
        if self.query("cgroupparent"):
            raise NotServedError("a parent cgroup (--cgroup-parent)")
        if self.query("securityopt") not in ("", "null", "[]"):
            raise NotServedError("security options of a build (--security-opt)")

    def _read_options(self) -> BuildOptions:
        tags = [tag for tag in self.get_query_arguments("t") if tag]
        for tag in tags:
            if parse(tag).digest is not None:
                raise BadRequestError(f"invalid tag {tag}: an image cannot be given a digest")
        return BuildOptions(
            dockerfile=self.query("dockerfile", "Dockerfile"),
            tags=tags,
            arguments=self._json("buildargs", dict[str, str | None]) or {},
            labels=self._json("labels", dict[str, str]) or {},
            target=self.query("target"),
            platform=self.query("platform"),
            no_cache=self.query_bool("nocache"),
            cache_from=self._json("cachefrom", list[str]) or [],
            pull=self.query_bool("pull"),
            quiet=self.query_bool("q"),
            secrets=_secrets(self.request.headers.get(_SECRETS_HEADER, "")),
            host=self._host(),
            credentials=self._credentials(),
        )

    def _credentials(self) -> dict[str, Credential]:
        sent = read_config_header(self.request.headers.get("X-Registry-Config", ""))
        if not sent:
            return {}
        from cellcrate_runtime.images.registry.login import domain_of

        return {domain_of(server): credential for server, credential in sent.items()}

    def _host(self) -> HostConfig:
        hosts = [host for given in self.get_query_arguments("extrahosts") for host in [given]]
        if len(hosts) == 1 and hosts[0].startswith("["):
            hosts = self._json("extrahosts", list[str]) or []
        elif len(hosts) == 1:
            hosts = [host for host in hosts[0].split(",") if host]
        host = HostConfig(
            network_mode=self.query("networkmode"),
            memory=self.query_int("memory") or 0,
            memory_swap=self.query_int("memswap") or 0,
            cpu_shares=self.query_int("cpushares") or 0,
            cpu_period=self.query_int("cpuperiod") or 0,
            cpu_quota=self.query_int("cpuquota") or 0,
            cpuset_cpus=self.query("cpusetcpus"),
            cpuset_mems=self.query("cpusetmems"),
            shm_size=self.query_int("shmsize") or 0,
            extra_hosts=[host.replace("=", ":", 1) for host in hosts],
            ulimits=self._json("ulimits", list[Ulimit]) or [],
        )
        check_extra_hosts(host.extra_hosts)
        check_limits(host)
        return host

    def _json(self, name: str, kind: type[_T]) -> _T | None:
        text = self.query(name)
        if not text or text == "null":
            return None
        try:
            return msgspec.json.decode(text, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequestError(f"invalid {name}: {error}") from error


class Prune(Handler):
    """``POST /build/prune``."""

    async def post(self) -> None:
        """Remove from the build cache."""
        filters = Filters.parse(self.query("filters"), _PRUNE_FILTERS)
        until = filters.single("until") or filters.single("unused-for")
        keep = (
            self.query_int("keep-storage")
            or self.query_int("reserved-space")
            or self.query_int("max-used-space")
            or 0
        )
        wish = PruneWish(
            everything=self.query_bool("all"),
            keep=keep,
            before=timestamps.parse(until) if until else None,
            ids=filters.values("id"),
        )
        removed, freed = await asyncio.to_thread(prune_cache, self.engine, wish)
        self.engine.events.publish("builder", "prune", "", {"reclaimed": str(freed)})
        self.write_json({"CachesDeleted": removed or None, "SpaceReclaimed": freed})


def _secrets(header: str) -> dict[str, bytes]:
    """Read secrets from a header: base64url of a JSON object, id to base64 of the content.

    Raises:
        BadRequestError: It is not that. The message has none of it.
    """
    if not header:
        return {}
    try:
        padded = header + "=" * (-len(header) % 4)
        found = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=dict[str, bytes])
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise BadRequestError(
            f"invalid {_SECRETS_HEADER}: it must be base64url of a JSON object of base64 contents"
        ) from None
    for name in found:
        if _SECRET_NAME.fullmatch(name) is None:
            raise BadRequestError(
                f"invalid {_SECRETS_HEADER}: an id has letters, digits, '_', '.' and '-' only"
            )
    return found


def _failure(error: Exception) -> dict[str, Any]:
    """Return a failure as a document of a stream that has begun."""
    if isinstance(error, BuildError):
        detail = {"code": error.code} if error.code else {}
        return {"errorDetail": {**detail, "message": error.message}, "error": error.message}
    _, message = answer_for(error)
    return {"errorDetail": {"message": message}, "error": message}


def routes() -> list[Route]:
    """Return the paths of this module."""
    return [(r"/build", Build, {}), (r"/build/prune", Prune, {})]
