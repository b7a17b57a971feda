"""What FROM and ``--from`` name: an image of the store, or of a registry."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from cellcrate_runtime.engine.building.options import BuildOptions
from cellcrate_runtime.engine.building.telling import Teller
from cellcrate_runtime.engine.own_threads import in_own_thread
from cellcrate_runtime.images import BASE_REFERENCE, Image, ImageNotFoundError
from cellcrate_runtime.images.architecture import machine_architecture
from cellcrate_runtime.images.errors import ImageError
from cellcrate_runtime.images.references import Reference, parse

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["check_platform", "find_image"]


async def find_image(engine: Engine, name: str, options: BuildOptions, tell: Teller) -> Image:
    """Return an image; it is packed or pulled where it is not there, or ``--pull`` was asked for.

    Raises:
        ImageError: There is none of that name, and none can be had.
    """
    if not options.pull or _is_base(name):
        with contextlib.suppress(ImageNotFoundError):
            return await asyncio.to_thread(engine.images.get, name)
    if _is_base(name):
        return await asyncio.to_thread(engine.images.ensure_base)
    return await _pull(engine, parse(name).with_default_tag(), options, tell)


async def _pull(engine: Engine, name: Reference, options: BuildOptions, tell: Teller) -> Image:
    """Pull an image, and tell of it as ``docker pull`` does; who cancels this ends it."""
    # Imported for those who pull: a client of HTTP takes a moment.
    from cellcrate_runtime.engine.api.transfers import step_document
    from cellcrate_runtime.images.registry.credentials import ANONYMOUS
    from cellcrate_runtime.images.registry.errors import RegistryUnreachableError
    from cellcrate_runtime.images.registry.progress import Cancellation, Step
    from cellcrate_runtime.images.registry.pull import pull
    from cellcrate_runtime.images.registry.settings import RegistrySettings

    loop = asyncio.get_running_loop()
    cancellation = Cancellation()

    def report(step: Step) -> None:
        if not options.quiet:
            with contextlib.suppress(RuntimeError):  # the engine has left meanwhile
                loop.call_soon_threadsafe(tell.add, step_document(step))

    def work() -> Image:
        settings = RegistrySettings.read(engine.paths.data / "daemon.json")
        credential = options.credentials.get(name.domain, ANONYMOUS)
        return pull(
            engine.images, name, settings, credential, report=report, cancellation=cancellation
        )

    try:
        image = await in_own_thread(work)
    except asyncio.CancelledError:
        cancellation.cancel()
        raise
    except RegistryUnreachableError as error:
        raise ImageError(f"{name.familiar} is not here, and cannot be pulled: {error}") from error
    engine.events.publish("image", "pull", name.familiar, {"name": name.familiar_name})
    return image


def check_platform(platform: str) -> None:
    """Refuse to build for another kind of machine than this one.

    Raises:
        ImageError: It is one.
    """
    if not platform:
        return
    system, _, architecture = platform.lower().partition("/")
    mine = machine_architecture()
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    wanted = architecture.partition("/")[0]
    if system != "linux" or (wanted and names.get(wanted, wanted) != mine):
        raise ImageError(
            f"the platform {platform} is not this machine's, which is linux/{mine}. Leave "
            "--platform out: programs of other machines cannot run here"
        )


def _is_base(name: str) -> bool:
    return parse(name).with_default_tag() == parse(BASE_REFERENCE)
