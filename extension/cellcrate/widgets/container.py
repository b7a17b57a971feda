"""What ``--detach`` returns: docker-py's container object, which shows itself."""

from __future__ import annotations

from typing import Any

from docker.models.containers import Container

from cellcrate.connection import Engine
from cellcrate.explain import engine_errors
from cellcrate.widgets.card import Card
from cellcrate.widgets.live import LiveCard
from cellcrate.widgets.place import has_front_end, live_bundle

__all__ = ["LiveContainer", "open_container"]


class LiveContainer(Container):
    """A container that runs in the background.

    It has the methods of docker-py's container (``stop``, ``logs``, ``exec_run``, ``stats``, …). In
    a notebook a card shows its state as it changes.
    """

    _engine: Engine
    _card: LiveCard | None = None

    def __repr__(self) -> str:
        return self._look().text()

    def _look(self) -> Card:
        """Ask the engine for the present state; where the container is gone, remember the last."""
        from docker.errors import NotFound

        try:
            self.reload()
        except NotFound:
            return Card.of(self.attrs).removed()
        return Card.of(self.attrs)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        with engine_errors():
            card = self._look()
        forms: dict[str, Any] = {"text/plain": card.text(), "text/html": card.still().html()}
        if not has_front_end():
            return forms
        if self._card is None:
            self._card = LiveCard(self._engine, self.id, card)
        self._card.follow()
        return live_bundle(self._card.widget, forms)

    def start(self, **kwargs: Any) -> None:
        """Start the container again; see docker-py."""
        super().start(**kwargs)
        if self._card is not None:
            self._card.follow()

    def restart(self, **kwargs: Any) -> None:
        """Stop the container and start it again; see docker-py."""
        super().restart(**kwargs)
        if self._card is not None:
            self._card.follow()


def open_container(engine: Engine, container: str) -> LiveContainer:
    """Return the object of a container.

    Raises:
        EngineError: There is none.
    """
    with engine_errors():
        attributes = engine.api.inspect_container(container)
    opened = LiveContainer(
        attrs=attributes, client=engine.client, collection=engine.client.containers
    )
    opened._engine = engine
    return opened
