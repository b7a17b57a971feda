"""How far a stage has come: the layers and the configuration that its steps have made."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, field

from cellcrate_runtime.images import Execution, Image, ImageConfig
from cellcrate_runtime.images.additions import NewLayer
from cellcrate_runtime.images.architecture import machine_architecture
from cellcrate_runtime.images.configuring import Configuring
from cellcrate_runtime.images.documents import (
    Descriptor,
    History,
    Manifest,
    MediaType,
    RootFS,
    encode,
)

__all__ = ["DEFAULT_SHELL", "StageState"]

DEFAULT_SHELL = ["/bin/sh", "-c"]


@dataclass(slots=True)
class StageState:
    """What an image of the steps so far would be.

    Attributes:
        key: The key of the last step, for the cache.
        configuring: The configuration, and what instructions make of it.
        layers: The layers, bottom first.
        history: The steps, those of the base image included.
        created: When the last step was done.
        author: Who made the image.
        variant: The base image's kind of processor; None where it says nothing.
    """

    key: str
    configuring: Configuring = field(default_factory=lambda: Configuring(Execution()))
    layers: list[NewLayer] = field(default_factory=list)
    history: list[History] = field(default_factory=list)
    created: str = ""
    author: str | None = None
    variant: str | None = None

    @classmethod
    def scratch(cls, key: str) -> StageState:
        """Begin with nothing."""
        return cls(key)

    @classmethod
    def of_image(cls, image: Image, key: str) -> StageState:
        """Begin with an image."""
        pairs = zip(image.manifest.layers, image.diff_ids, strict=True)
        return cls(
            key=key,
            configuring=Configuring(image.config.execution),
            layers=[NewLayer(descriptor, diff_id) for descriptor, diff_id in pairs],
            history=copy.deepcopy(image.config.history or []),
            created=image.created,
            author=image.config.author,
            variant=image.config.variant,
        )

    def following(self) -> StageState:
        """Begin with a stage that is done."""
        state = copy.copy(self)
        state.configuring = Configuring(self.execution)
        state.layers = list(self.layers)
        state.history = list(self.history)
        return state

    @property
    def execution(self) -> Execution:
        """The configuration."""
        return self.configuring.execution

    @property
    def diff_ids(self) -> list[str]:
        """The digests of the layers' archives, bottom first."""
        return [layer.diff_id for layer in self.layers]

    @property
    def descriptors(self) -> list[Descriptor]:
        """What a manifest says of the layers, bottom first."""
        return [layer.descriptor for layer in self.layers]

    @property
    def descriptions(self) -> list[str]:
        """The steps' texts."""
        return [step.created_by or "" for step in self.history]

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables."""
        pairs = (variable.partition("=") for variable in self.execution.env or [])
        return {name: value for name, _, value in pairs}

    @property
    def shell(self) -> list[str]:
        """What the shell forms are handed to."""
        return self.execution.shell or DEFAULT_SHELL

    def document(self) -> ImageConfig:
        """The configuration of an image of the steps so far."""
        return ImageConfig(
            created=self.created or None,
            author=self.author,
            architecture=machine_architecture(),
            variant=self.variant,
            os="linux",
            config=self.execution,
            rootfs=RootFS(diff_ids=self.diff_ids),
            history=self.history,
        )

    def image_id(self) -> str:
        """The id of an image of the steps so far, whether there is one or not."""
        return f"sha256:{hashlib.sha256(encode(self.document())).hexdigest()}"

    def for_run(self) -> Image:
        """The steps so far as an image that a container of RUN is made from.

        It is in no table, and has of the configuration only what a RUN is subject to.
        """
        document = self.document()
        mine = self.execution
        document.config = Execution(env=mine.env, user=mine.user, working_dir=mine.working_dir)
        config = Descriptor(media_type=MediaType.CONFIG, digest=self.image_id(), size=0)
        manifest = Manifest(schema_version=2, config=config, layers=self.descriptors)
        return Image(
            id=config.digest,
            references=(),
            config=document,
            manifest=manifest,
            manifest_digest=config.digest,
            size=0,
        )
