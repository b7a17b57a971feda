"""The layers of one image on their way: downloaded at the same time, and unpacked one by one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from cellcrate_runtime.images.documents import Descriptor
from cellcrate_runtime.images.registry.downloads import Downloads, Wanted
from cellcrate_runtime.images.registry.progress import Cancellation, Meter, Report, Step
from cellcrate_runtime.images.registry.resolving import Resolved
from cellcrate_runtime.images.store import ImageStore

__all__ = ["Layer", "Layers"]

_SHORT = 12  # digits of a digest, as docker shows a layer


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer: the blob that it comes as, and the digest of the archive in it."""

    descriptor: Descriptor
    diff_id: str

    @property
    def digest(self) -> str:
        """The digest of the blob."""
        return self.descriptor.digest

    @property
    def size(self) -> int:
        """The bytes of the blob."""
        return self.descriptor.size


class Layers:
    """The layers of one image, on their way."""

    def __init__(
        self,
        store: ImageStore,
        downloads: Downloads,
        resolved: Resolved,
        report: Report,
        cancellation: Cancellation,
    ) -> None:
        self._store = store
        self._downloads = downloads
        self._sources = resolved.sources
        self._report = report
        self._cancellation = cancellation

    def fetch(self, layers: Sequence[Layer], at_once: int) -> None:
        """Download and unpack layers; return when all are there.

        Layers are unpacked by one thread, because that is what processor and disk are busy with
        while the others wait for the network.

        Raises:
            The first failure, after which the others stop.
        """
        missing = []
        for layer in layers:
            if self._has(layer):
                self._say("Already exists", layer)
            else:
                self._say("Pulling fs layer", layer)
                missing.append(layer)
        for layer in missing[at_once:]:
            self._say("Waiting", layer)
        with self._workers(at_once) as (loading, unpacking):
            loads = {loading.submit(self._load, layer): layer for layer in missing}
            pending: set[Future[None]] = set(loads)
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    if future in loads:
                        pending.add(unpacking.submit(self._unpack, loads[future]))

    @contextlib.contextmanager
    def _workers(self, at_once: int) -> Iterator[tuple[ThreadPoolExecutor, ThreadPoolExecutor]]:
        """Threads that stop when one of them fails, or whoever waits for them is interrupted."""
        loading = ThreadPoolExecutor(at_once, "pull")
        unpacking = ThreadPoolExecutor(1, "unpack")
        try:
            yield loading, unpacking
        except BaseException:
            self._cancellation.cancel()
            raise
        finally:
            for workers in (loading, unpacking):
                workers.shutdown(wait=True, cancel_futures=True)

    def _has(self, layer: Layer) -> bool:
        # A layer that was unpacked from another blob, compressed in another way, does not do:
        # who saves or pushes the image needs this one.
        return self._store.layers.has(layer.diff_id) and self._downloads.is_done(layer.digest)

    def _load(self, layer: Layer) -> None:
        meter = Meter(self._report, "Downloading", _short(layer.digest), layer.size)
        wanted = Wanted(layer.digest, layer.size)
        if not self._downloads.is_done(layer.digest):
            self._downloads.fetch(self._sources, wanted, meter, self._cancellation)
        self._say("Verifying Checksum", layer)
        self._say("Download complete", layer)

    def _unpack(self, layer: Layer) -> None:
        self._cancellation.check()
        self._say("Extracting", layer)
        self._store.unpack_layers([layer.descriptor], [layer.diff_id])
        self._say("Pull complete", layer)

    def _say(self, status: str, layer: Layer) -> None:
        self._report(Step(status, _short(layer.digest)))


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_SHORT]
