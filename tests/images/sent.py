"""Images put into a registry by hand, by the requests of the specification and nothing of ours."""

from __future__ import annotations

import gzip
import http.client
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from images.handmade import Entry, digest, make_archive

__all__ = ["DOCKER", "OCI", "Kind", "Sender", "SentImage", "random_entries"]


@dataclass(frozen=True)
class Kind:
    """The media types of one family of documents."""

    manifest: str
    config: str
    layer: str
    index: str


OCI = Kind(
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.index.v1+json",
)
DOCKER = Kind(
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


@dataclass
class SentImage:
    """An image that is in a registry now."""

    digest: str
    size: int
    media_type: str
    config: str
    layers: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    diff_ids: list[str] = field(default_factory=list)


def random_entries(name: str, size: int) -> list[Entry]:
    """One file that does not compress."""
    return [Entry(name, os.urandom(size))]


class Sender:
    """Puts blobs and manifests into one registry, over plain HTTP."""

    def __init__(self, address: str) -> None:
        self.address = address

    def blob(self, repository: str, content: bytes) -> dict[str, Any]:
        """Store a blob; return its digest and size as a descriptor has them."""
        name = digest(content)
        location = self._call("POST", f"/v2/{repository}/blobs/uploads/", b"", {}, 202)
        joint = "&" if "?" in location else "?"
        headers = {"Content-Type": "application/octet-stream"}
        self._call("PUT", f"{location}{joint}digest={name}", content, headers, 201)
        return {"digest": name, "size": len(content)}

    def manifest(self, repository: str, tag: str, document: Any, media_type: str) -> SentImage:
        """Store a manifest, or anything in a manifest's place."""
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        path = f"/v2/{repository}/manifests/{tag or digest(content)}"
        self._call("PUT", path, content, {"Content-Type": media_type}, 201)
        return SentImage(digest(content), len(content), media_type, "")

    def image(
        self,
        repository: str,
        tag: str,
        *layers: Sequence[Entry],
        kind: Kind = OCI,
        architecture: str = "amd64",
        variant: str | None = None,
    ) -> SentImage:
        """Store an image of layers made by hand."""
        archives = [make_archive(layer) for layer in layers]
        config: dict[str, Any] = {
            "architecture": architecture,
            "os": "linux",
            "created": "2024-01-02T03:04:05Z",
            "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(archive) for archive in archives]},
            "history": [{"created_by": f"layer {n}"} for n in range(len(archives))],
        }
        if variant:
            config["variant"] = variant
        blobs = [self.blob(repository, gzip.compress(archive, 1, mtime=0)) for archive in archives]
        content = json.dumps(config).encode()
        document = {
            "schemaVersion": 2,
            "mediaType": kind.manifest,
            "config": {"mediaType": kind.config, **self.blob(repository, content)},
            "layers": [{"mediaType": kind.layer, **blob} for blob in blobs],
        }
        sent = self.manifest(repository, tag, document, kind.manifest)
        sent.config = digest(content)
        sent.layers = [blob["digest"] for blob in blobs]
        sent.sizes = [blob["size"] for blob in blobs]
        sent.diff_ids = config["rootfs"]["diff_ids"]
        return sent

    def index(
        self, repository: str, tag: str, images: dict[str, SentImage], kind: Kind = OCI
    ) -> SentImage:
        """Store an index of images by their platforms, such as ``linux/arm/v7``."""
        document = {
            "schemaVersion": 2,
            "mediaType": kind.index,
            "manifests": [
                {
                    "mediaType": image.media_type,
                    "digest": image.digest,
                    "size": image.size,
                    "platform": dict(
                        zip(("os", "architecture", "variant"), name.split("/"), strict=False)
                    ),
                }
                for name, image in images.items()
            ],
        }
        return self.manifest(repository, tag, document, kind.index)

    def _call(
        self, method: str, path: str, content: bytes, headers: dict[str, str], expected: int
    ) -> str:
        """Send a request that must succeed; return where its answer points."""
        connection = http.client.HTTPConnection(self.address, timeout=30)
        try:
            address = path.removeprefix(f"http://{self.address}")
            connection.request(method, address, content, headers)
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status == expected, (method, path, answer.status, said)
            return answer.headers.get("Location", "")
        finally:
            connection.close()
