"""Images are fetched and sent, with one bar for each layer in the cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cellcrate.cells.request import BASE_IMAGE
from cellcrate.connection import Engine
from cellcrate.errors import EngineError
from cellcrate.explain import engine_errors
from cellcrate.images.names import registry_of, split_reference
from cellcrate.images.progress import Transfers
from cellcrate.images.progress_view import TransfersView
from cellcrate.widgets.place import Place

__all__ = ["pull", "push"]


def pull(
    engine: Engine,
    image: str,
    *,
    quiet: bool = False,
    platform: str | None = None,
    every_tag: bool = False,
    keep: bool = False,
) -> None:
    """Fetch an image; Cellcrate's engine packs its base image itself.

    Args:
        engine: The engine that fetches it.
        image: Its name.
        quiet: Show no progress.
        platform: The platform, where the image has several.
        every_tag: Fetch all that the registry has under the name.
        keep: Leave the progress in the cell's output when it is over.

    Raises:
        EngineError: It cannot be had.
    """
    repository, tag = split_reference(image)

    def begin() -> Iterable[dict[str, Any]]:
        stream: Iterable[dict[str, Any]] = engine.api.pull(
            repository, tag, stream=True, decode=True, platform=platform, all_tags=every_tag
        )
        return stream

    failure = _follow(engine, begin, Transfers(image), Place(silent=quiet), keep=keep)
    if failure is not None:
        said = f"The image {image} cannot be had: {_ended(failure)}"
        advice = _pull_advice(image, str(failure), embedded=engine.embedded)
        raise EngineError(f"{said} {advice}", failure.status)


def push(engine: Engine, image: str, *, quiet: bool = False, every_tag: bool = False) -> None:
    """Send an image to the registry that its name begins with.

    Raises:
        EngineError: The registry or the engine refuses.
    """
    repository, tag = split_reference(image)
    wanted = "" if every_tag else tag

    def begin() -> Iterable[dict[str, Any]]:
        # docker-py reads an empty tag as "latest"; the API, as all of them.
        stream: Iterable[dict[str, Any]] = engine.api.push(
            repository, wanted or None, stream=True, decode=True
        )
        return stream

    failure = _follow(engine, begin, Transfers(image, upload=True), Place(silent=quiet), keep=True)
    if failure is not None:
        advice = _push_advice(image, str(failure))
        raise EngineError(f"The image {image} was not sent: {_ended(failure)} {advice}")


def _follow(
    engine: Engine,
    begin: Callable[[], Iterable[dict[str, Any]]],
    transfers: Transfers,
    place: Place,
    *,
    keep: bool,
) -> EngineError | None:
    """Show a stream to its end; return what went wrong."""
    try:
        with engine_errors():
            # Somebody may have logged in meanwhile, here or by docker's command.
            engine.api.reload_config()
            for message in begin():
                transfers.take(message)
                place.show(TransfersView(transfers))
    except EngineError as error:
        transfers.failure = str(error)
        return error
    except BaseException:
        # The stop button, above all: what has come stays visible as far as it came.
        transfers.failure = transfers.failure or "interrupted"
        raise
    finally:
        transfers.end()
        if keep or (transfers.failure and transfers.layers):
            place.show(TransfersView(transfers), final=True)
        else:
            place.clear()
    return EngineError(transfers.failure) if transfers.failure else None


def _ended(failure: EngineError) -> str:
    text = str(failure).strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _pull_advice(image: str, failure: str, *, embedded: bool) -> str:
    lower = failure.lower()
    if any(word in lower for word in ("unauthorized", "authentication", "access denied", "denied")):
        return (
            "Look at the name. If the image is not for everybody: "
            f"%image login {registry_of(image)}".rstrip()
            + "."
        )
    if embedded:
        return (
            "Look at the name, and at the way to the registry. %%container without an image uses "
            f"{BASE_IMAGE}, which needs no network."
        )
    if split_reference(image)[0] == BASE_IMAGE:
        return (
            "It belongs to Cellcrate's own engine. Name an image of this engine after %%container, "
            "or set CELLCRATE_IMAGE to one."
        )
    return "Look at the name, and at the engine's way to the registry."


def _push_advice(image: str, failure: str) -> str:
    lower = failure.lower()
    registry = registry_of(image)
    if any(word in lower for word in ("unauthorized", "authentication", "denied", "no basic auth")):
        return f"%image login {registry}".rstrip() + " gives the engine a name and a password."
    if "does not exist" in lower or "no such image" in lower:
        return f"%image ls lists the images; %image tag IMAGE {image} gives one this name."
    if not registry:
        return (
            "A name without a registry means Docker Hub; for another one: "
            f"%image tag {image} HOST:PORT/{image}, and push that."
        )
    return f"Look whether {registry} is a registry that the engine reaches."
