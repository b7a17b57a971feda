"""What ``%%image`` and ``%image inspect`` return: an image that shows itself."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from cellcrate.cells.link import Link
from cellcrate.connection import Engine
from cellcrate.errors import CellcrateError, EngineError
from cellcrate.explain import engine_errors
from cellcrate.images.contents.archived import ArchivedContents
from cellcrate.images.contents.model import Contents, Step, readable
from cellcrate.images.contents.served import ServedContents
from cellcrate.images.engines import is_cellcrate
from cellcrate.images.facts import Facts
from cellcrate.images.stack import Stack
from cellcrate.images.words import say
from cellcrate.widgets.place import has_front_end, live_bundle
from cellcrate.widgets.words import human_size

__all__ = ["ImageView", "open_image"]

#: The largest image whose archive is read without being asked to, in bytes.
LARGEST = 512 << 20


class ImageView:
    """An image. In a notebook it shows itself as the stack of its layers.

    Attributes:
        attrs: What the engine says of it (ImageInspect); ``image["Config"]`` reaches inside.
        facts: The same, as it is shown.
    """

    def __init__(self, engine: Engine, attrs: dict[str, Any], name: str = "") -> None:
        self.attrs = attrs
        self.facts = Facts.of(attrs, name)
        self._link = Link(engine)
        self._remark = ""
        self._steps: list[Step] | None = None

    def __getitem__(self, key: str) -> Any:
        return self.attrs[key]

    @property
    def id(self) -> str:
        """The image's id."""
        return self.facts.id

    @property
    def tags(self) -> list[str]:
        """Its names."""
        return list(self.attrs.get("RepoTags") or [])

    @property
    def diff_ids(self) -> list[str]:
        """The digests of its layers, bottom first."""
        return list((self.attrs.get("RootFS") or {}).get("Layers") or [])

    @cached_property
    def contents(self) -> Contents:
        """The way to look into its layers."""
        if is_cellcrate(self._link.engine):
            return ServedContents(self._link, self.id)
        others = _others(self._link, self.id)
        return ArchivedContents(self._link, self.id, self.diff_ids, others)

    @property
    def steps(self) -> list[Step]:
        """How it came about, the oldest step first."""
        if self._steps is None:
            self._steps = self._read_or_list()
        return self._steps

    def read(self) -> ImageView:
        """Read its layers, however large it is.

        Raises:
            EngineError: The engine does not let them be read.
        """
        with engine_errors():
            self._steps, self._remark = self.contents.steps(), ""
        return self

    def _read_or_list(self) -> list[Step]:
        contents = self.contents
        known = not isinstance(contents, ArchivedContents) or contents.is_known
        if not known and self.facts.size > LARGEST:
            reason = say("unread_size", size=human_size(self.facts.size))
        else:
            try:
                with engine_errors():
                    return contents.steps()
            except CellcrateError as error:
                reason = str(error)
        self._remark = say("unread", reason=reason)
        history = self._link.ask(lambda api: api.history(self.id))
        return [_listed(step) for step in reversed(history)]

    def stack(self) -> Stack:
        """Return what is shown of it, and saved."""
        steps = self.steps
        return Stack(self.facts, steps, self._remark, can_browse=self._can_browse())

    def _can_browse(self) -> bool:
        return has_front_end() and not self._remark and bool(self.diff_ids)

    def __repr__(self) -> str:
        return self.stack().text()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        stack = self.stack()
        return {"text/plain": stack.text(), "text/html": stack.html()}

    def _ipython_display_(self) -> None:
        from IPython.display import display

        bundle = self._repr_mimebundle_()
        if not has_front_end():
            print(bundle["text/plain"])
            return
        # Two outputs: a widget takes the place of every other form of its output, and is gone from
        # a saved notebook.
        display(bundle, raw=True)
        if self._can_browse():
            from cellcrate.images.browser import Browser

            layers = [step.layer for step in self.steps if step.layer is not None]
            names = [step.instruction for step in self.steps if step.layer is not None]
            forms = {"text/plain": f"({say('browse')})"}
            bundle, metadata = live_bundle(Browser(self.contents, layers, names).widget, forms)
            display(bundle, metadata=metadata, raw=True)


def open_image(engine: Engine, image: str, name: str = "") -> ImageView:
    """Return an image, by its name or id.

    Args:
        engine: The engine that has it.
        image: Its name or id.
        name: The name to show it under; by default its own first one.

    Raises:
        EngineError: There is none.
    """
    attrs = Link(engine).ask(lambda api: api.inspect_image(image))
    return ImageView(engine, attrs, name)


def _listed(step: dict[str, Any]) -> Step:
    """Return a step of ImageHistory, which does not say whether there is a layer."""
    size = int(step.get("Size") or 0)
    return Step(readable(str(step.get("CreatedBy") or "")), "", size, None, has_layer=size > 0)


_layers_of: dict[str, list[str]] = {}


def _others(link: Link, image: str) -> dict[str, list[str]]:
    """Return the names of the engine's other images, by the layers that they have."""
    others: dict[str, list[str]] = {}
    for each in link.ask(lambda api: api.images()):
        if each["Id"] == image:
            continue
        name = _name(each)
        for diff_id in dict.fromkeys(_layers(link, each["Id"])):
            others.setdefault(diff_id, []).append(name)
    return others


def _layers(link: Link, image: str) -> Iterable[str]:
    # What an id stands for never changes.
    if image not in _layers_of:
        try:
            document = link.ask(lambda api: api.inspect_image(image))
        except EngineError:
            return ()  # it was removed meanwhile
        _layers_of[image] = list((document.get("RootFS") or {}).get("Layers") or [])
    return _layers_of[image]


def _name(image: dict[str, Any]) -> str:
    tags = [tag for tag in image.get("RepoTags") or [] if tag != "<none>:<none>"]
    return next(iter(tags), str(image["Id"]).removeprefix("sha256:")[:12])
