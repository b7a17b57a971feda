"""Whose an image's files are to its containers: whose the image says, also for an ordinary user."""

from __future__ import annotations

import io
import os
import tarfile

import pytest

from cellcrate_runtime.images import ImageStore, subordinate
from images.handmade import Entry, folder, make_archive
from images.layered import with_layer

from .conftest import RunningEngine


@pytest.mark.skipif(
    os.geteuid() != 0 and subordinate.why_not() is not None,
    reason="This user has one id.",
)
def test_owners_of_an_image(own_engine: RunningEngine) -> None:
    entries = [
        Entry("home", type=tarfile.DIRTYPE, mode=0o700, uid=1000, gid=1001),
        Entry("home/file", b"mine", mode=0o600, uid=1000, gid=1001),
        Entry("home/.wh.nothing"),
        folder("closed", mode=0o700),
    ]
    store = ImageStore(own_engine.paths.images)
    base = io.BytesIO()
    store.save([own_engine.image], base)
    archive = with_layer(base.getvalue(), make_archive(entries), "owners:1")
    (image,) = own_engine.client.images.load(archive)
    script = "stat -c '%u:%g %a %n' /home /home/file /closed; id -u; cat /home/file"

    def seen(**options: str) -> list[str]:
        said = own_engine.client.containers.run(image, ["sh", "-c", script], **options)
        return str(said.decode()).splitlines()

    owned = ["1000:1001 700 /home", "1000:1001 600 /home/file", "0:0 700 /closed"]
    assert seen() == [*owned, "0", "mine"]
    assert seen(user="1000:1001") == [*owned, "1000", "mine"]
    for container in own_engine.client.containers.list(all=True):
        container.remove()
    own_engine.client.images.remove("owners:1")
    left = {f"sha256:{name}" for name in os.listdir(store.layers.folder)}
    assert left == set(store.get(own_engine.image).diff_ids)
