"""One more layer on an image that was saved, as a build would put it there."""

from __future__ import annotations

import io
import json
import tarfile

from images.handmade import Entry, digest, make_archive

__all__ = ["with_layer"]


def with_layer(saved: bytes, layer: bytes, name: str) -> bytes:
    """Docker's archive of the image of another such archive with one more layer."""
    with tarfile.open(fileobj=io.BytesIO(saved)) as tar:
        files = {
            entry.name: tar.extractfile(entry).read()  # type: ignore[union-attr]
            for entry in tar
            if entry.isreg()
        }
    (image,) = json.loads(files["manifest.json"])
    config = json.loads(files[image["Config"]])
    config["rootfs"]["diff_ids"].append(digest(layer))
    config["history"] = []
    described = [{"Config": "config.json", "RepoTags": [name],
                  "Layers": [*image["Layers"], "layer.tar"]}]  # fmt: skip
    made = {old: files[old] for old in image["Layers"]}
    made["layer.tar"] = layer
    made["config.json"] = json.dumps(config).encode()
    made["manifest.json"] = json.dumps(described).encode()
    return make_archive(Entry(*file) for file in made.items())
