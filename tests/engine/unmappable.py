"""An engine whose state lies where owners cannot be translated, as on an old kernel.

A mount that is id-mapped already cannot be id-mapped again. So the engine's home is a mount of
itself, id-mapped so that every owner stays the same, in a mount namespace that only the engine has:
whatever the engine tries there fails as it does on a file system without id-mapped mounts.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cellcrate_runtime.images import BASE_REFERENCE, Image, ImageStore
from cellcrate_runtime.images.documents import Descriptor, MediaType, encode
from cellcrate_runtime.images.references import parse
from cellcrate_runtime.linux import idmap, mounts, namespaces
from cellcrate_runtime.linux.idmap import IDRange
from cellcrate_runtime.paths import Paths
from images.handmade import Entry, digest, make_archive

from .conftest import RunningEngine

T = TypeVar("T")

_EVERY_ID = IDRange(0, 0, 0xFFFF_FFFF)
_CLONE_FS = 0x200  # linux/sched.h: what a thread must not share to enter a mount namespace


class MountNamespace:
    """A mount namespace in which a folder cannot be id-mapped; it goes with its last process."""

    def __init__(self, folder: Path) -> None:
        self._file = in_a_thread(lambda: _make(os.fspath(folder)))

    def run(self, function: Callable[[], T]) -> T:
        """Call a function inside; processes that it starts stay there."""

        def inside() -> T:
            namespaces.unshare(_CLONE_FS)
            namespaces.setns(self._file, namespaces.FLAGS["mount"])
            return function()

        return in_a_thread(inside)

    def close(self) -> None:
        """Keep it no longer."""
        os.close(self._file)


def in_a_thread(function: Callable[[], T]) -> T:
    """Call a function in a thread of its own, which can have other namespaces than we."""
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _make(folder: str) -> int:
    namespaces.unshare(namespaces.FLAGS["mount"])
    mounts.set_propagation("/", mounts.MS_PRIVATE | mounts.MS_REC)
    users = idmap.make_user_namespace([_EVERY_ID], [_EVERY_ID])
    tree = mounts.open_tree(folder, clone=True)
    try:
        mounts.set_attributes(tree, idmap=users)
        mounts.attach(tree, folder)
    finally:
        os.close(tree)
        os.close(users)
    return os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)


class UnmappableEngine(RunningEngine):
    """An engine in such a namespace.

    Attributes:
        old: Whether it is started there; set it to False to start it as on a new kernel.
        namespace: The namespace.
    """

    def __init__(self, paths: Paths) -> None:
        self.old = True
        self.namespace = MountNamespace(paths.data.parent)
        super().__init__(paths)

    def start(self) -> None:
        """Start it, or find it running."""
        if self.old:
            self.namespace.run(super().start)
        else:
            super().start()

    def close(self) -> None:
        """Remove everything, stop the engine, and see that nothing is left."""
        try:
            super().close()
        finally:
            self.namespace.close()


def add_layer(store: ImageStore, name: str, *entries: Entry) -> Image:
    """Make an image that is the base image with one layer more."""
    base = store.get(BASE_REFERENCE)
    archive = make_archive(entries)
    config, manifest = base.config, base.manifest
    rootfs = type(config.rootfs)(diff_ids=[*base.diff_ids, digest(archive)])
    config = type(config)(architecture=config.architecture, os=config.os, rootfs=rootfs)

    def blob(media_type: str, content: bytes) -> Descriptor:
        return Descriptor(media_type=media_type, digest=store.blobs.add(content), size=len(content))

    with store.adding():
        manifest = type(manifest)(
            schema_version=2,
            media_type=MediaType.MANIFEST,
            config=blob(MediaType.CONFIG, encode(config)),
            layers=[*manifest.layers, blob(MediaType.LAYER, archive)],
        )
        store.name(store.blobs.add(encode(manifest)), parse(name).with_default_tag())
    return store.get(name)
