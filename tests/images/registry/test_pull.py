"""Images pulled from a real registry."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pytest

from cellcrate_runtime.images import Image, ImageNotFoundError, ImageStore
from cellcrate_runtime.images.references import parse
from cellcrate_runtime.images.registry.connection import connect
from cellcrate_runtime.images.registry.credentials import ANONYMOUS
from cellcrate_runtime.images.registry.errors import NotInRegistryError, RegistryError
from cellcrate_runtime.images.registry.platforms import parse_platform
from cellcrate_runtime.images.registry.progress import Step
from cellcrate_runtime.images.registry.pull import Puller, pull
from cellcrate_runtime.images.registry.repository import Repository
from cellcrate_runtime.images.registry.settings import RegistrySettings
from cellcrate_runtime.images.registry.transport import Transport
from images.handmade import Entry, folder
from images.misbehaving import Handmade, Misbehaving, Request, says
from images.registries import Registry
from images.sent import DOCKER, OCI, Kind, Sender, random_entries


@dataclass(frozen=True)
class Place:
    """A repository of a registry that no other test has, and an empty store."""

    registry: Registry
    sender: Sender
    repository: str
    store: ImageStore
    settings: RegistrySettings

    def name(self, tag: str = "") -> str:
        """The name of the repository, or of an image in it."""
        return self.registry.name(f"{self.repository}:{tag}" if tag else self.repository)

    def pull(self, tag: str, **options: Any) -> Image:
        """Pull an image of it."""
        return pull(self.store, parse(self.name(tag)), self.settings, **options)


@pytest.fixture
def place(
    registry: Registry,
    sender: Sender,
    repository: str,
    store: ImageStore,
    settings: RegistrySettings,
) -> Place:
    return Place(registry, sender, repository, store, settings)


@pytest.mark.parametrize("kind", [OCI, DOCKER], ids=["oci", "docker"])
def test_an_image_is_pulled_unpacked_and_named(place: Place, kind: Kind) -> None:
    sent = place.sender.image(
        place.repository, "1", [folder("a"), Entry("a/b", b"c")], [Entry("d")], kind=kind
    )
    steps: list[Step] = []
    name = place.name("1")
    image = place.pull("1", report=steps.append)
    assert image.id == sent.config
    assert image.manifest_digest == sent.digest
    assert image.repo_tags == [name]
    assert image.repo_digests == [f"{place.name()}@{sent.digest}"]
    assert image.diff_ids == sent.diff_ids
    top, bottom = place.store.lower_dirs(image)
    assert (bottom / "a/b").read_bytes() == b"c"
    assert (top / "d").exists()
    assert os.listdir(place.store.root / "downloads") == []
    said = [step.status for step in steps]
    assert said[0] == f"Pulling from {place.repository}"
    assert said[-2:] == [f"Digest: {sent.digest}", f"Status: Downloaded newer image for {name}"]
    of_layer = [step.status for step in steps if step.id == sent.layers[0][7:19]]
    assert list(dict.fromkeys(of_layer)) == [
        "Pulling fs layer",
        "Downloading",
        "Verifying Checksum",
        "Download complete",
        "Extracting",
        "Pull complete",
    ]


def test_pulling_again_transfers_nothing(place: Place) -> None:
    place.sender.image(place.repository, "1", random_entries("x", 1000))
    name = parse(place.name("1"))
    first = place.pull("1")
    before = len(place.registry.requests("GET", f"{place.repository}/blobs"))
    steps: list[Step] = []
    assert place.pull("1", report=steps.append) == first
    assert len(place.registry.requests("GET", f"{place.repository}/blobs")) == before
    assert steps[-1].status == f"Status: Image is up to date for {name}"


def test_an_image_that_shares_layers_transfers_what_is_new(place: Place) -> None:
    shared, own = random_entries("shared", 50_000), random_entries("own", 10_000)
    place.sender.image(place.repository, "1", shared)
    second = place.sender.image(place.repository, "2", shared, own)
    place.pull("1")
    before = len(place.registry.blobs_sent())
    steps: list[Step] = []
    image = place.pull("2", report=steps.append)
    transferred = [
        request.path.rpartition("/")[2] for request in place.registry.blobs_sent()[before:]
    ]
    assert sorted(transferred) == sorted([second.config, second.layers[1]])
    assert Step("Already exists", second.layers[0][7:19]) in steps
    assert len(place.store.lower_dirs(image)) == 2


def test_the_same_layer_twice(place: Place) -> None:
    sent = place.sender.image(place.repository, "1", [Entry("a")], [Entry("b")], [Entry("a")])
    image = place.pull("1")
    assert image.diff_ids == sent.diff_ids
    assert len(place.store.lower_dirs(image)) == 3


def test_a_tag_that_moved_leaves_the_old_image_without_a_tag(place: Place) -> None:
    name = parse(place.name("1"))
    old = place.sender.image(place.repository, "1", [Entry("old")])
    place.pull("1")
    new = place.sender.image(place.repository, "1", [Entry("new")])
    assert place.pull("1").id == new.config
    assert place.store.get(name.canonical).id == new.config
    assert place.store.get(old.config).repo_tags == []


def test_a_digest_pins_an_image(place: Place) -> None:
    first = place.sender.image(place.repository, "1", [Entry("first")])
    place.sender.image(place.repository, "1", [Entry("second")])
    name = place.registry.name(f"{place.repository}@{first.digest}")
    image = pull(place.store, parse(name), place.settings)
    assert image.id == first.config
    assert (image.repo_tags, image.repo_digests) == ([], [name])


def test_an_index_is_resolved_for_a_platform(place: Place) -> None:
    kinds = {
        "linux/amd64": ("amd64", None),
        "linux/arm64": ("arm64", None),
        "linux/arm/v7": ("arm", "v7"),
    }
    images = {
        name: place.sender.image(
            place.repository,
            "",
            [Entry(name.replace("/", "-"))],
            architecture=kind[0],
            variant=kind[1],
        )
        for name, kind in kinds.items()
    }
    index = place.sender.index(place.repository, "1", images)
    for wanted in images:
        image = place.pull("1", platform=parse_platform(wanted))
        assert image.id == images[wanted].config
        assert image.repo_digests == [f"{place.name()}@{index.digest}"]
    with pytest.raises(NotInRegistryError, match="linux/amd64, linux/arm/v7, linux/arm64"):
        place.pull("1", platform=parse_platform("linux/s390x"))


def test_an_image_for_another_platform_than_was_asked_for_is_refused(place: Place) -> None:
    place.sender.image(place.repository, "1", [Entry("x")], architecture="arm64")
    with pytest.raises(NotInRegistryError, match="wanted linux/amd64, actual: linux/arm64"):
        place.pull("1", platform=parse_platform("linux/amd64"))
    assert place.store.images() == []


def test_what_is_not_there(place: Place) -> None:
    name = parse(place.name("1"))
    with pytest.raises(NotInRegistryError, match=r"manifest for .* not found: manifest unknown"):
        place.pull("1")
    with pytest.raises(ImageNotFoundError):
        place.store.get(name.canonical)
    with (
        Puller(place.store, place.settings) as puller,
        pytest.raises(NotInRegistryError, match="not found"),
    ):
        puller.tags(name)


def test_tags_are_listed(place: Place) -> None:
    for tag in ("1", "2", "latest"):
        place.sender.image(place.repository, tag, [Entry("x")])
    with Puller(place.store, place.settings) as puller:
        assert sorted(puller.tags(parse(place.name()))) == ["1", "2", "latest"]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"}, "foreign"),
        ({"urls": ["http://127.0.0.1:1/x"]}, "foreign"),
        ({"mediaType": "application/x-something"}, "not understood here"),
    ],
)
def test_layers_that_are_refused(place: Place, part: dict[str, object], message: str) -> None:
    layer = {"mediaType": OCI.layer, **place.sender.blob(place.repository, b"x"), **part}
    config = {"mediaType": OCI.config, **place.sender.blob(place.repository, b"{}")}
    document = {
        "schemaVersion": 2,
        "mediaType": OCI.manifest,
        "config": config,
        "layers": [layer],
    }
    place.sender.manifest(place.repository, "1", document, OCI.manifest)
    with pytest.raises(RegistryError, match=message):
        place.pull("1")
    assert os.listdir(place.store.root / "blobs/sha256") == []


def test_an_artifact_is_no_image(place: Place) -> None:
    config = {
        "mediaType": "application/vnd.example+json",
        **place.sender.blob(place.repository, b"{}"),
    }
    document = {
        "schemaVersion": 2,
        "mediaType": OCI.manifest,
        "config": config,
        "layers": [],
    }
    place.sender.manifest(place.repository, "1", document, OCI.manifest)
    with pytest.raises(RegistryError, match=r"no image to run: it holds application/vnd\.example"):
        place.pull("1")


def test_a_manifest_is_deleted_by_its_digest(place: Place) -> None:
    sent = place.sender.image(place.repository, "1", [Entry("x")])
    transport = Transport(place.settings)
    there = Repository(connect(place.registry.address, transport, ANONYMOUS), place.repository)
    assert there.manifest("1").digest == there.manifest(sent.digest).digest == sent.digest
    there.delete_manifest(sent.digest)
    for reference in ("1", sent.digest):
        with pytest.raises(NotInRegistryError, match="manifest unknown"):
            there.manifest(reference)
    with pytest.raises(NotInRegistryError):
        there.delete_manifest(sent.digest)
    transport.close()


def test_tags_come_in_pages(settings: RegistrySettings) -> None:
    with Misbehaving(Handmade.of()).running() as registry:
        tags, more = "/v2/x/tags/list", '</v2/x/tags/more?last=1>; rel="next"'
        registry.then(tags, says(200, b'{"tags":["1"]}', Link=more))
        registry.then("/v2/x/tags/more", says(200, b'{"tags":["2"]}'))
        transport = Transport(settings)
        there = Repository(connect(registry.address, transport, ANONYMOUS), "x")
        assert list(there.tags()) == ["1", "2"]
        elsewhere = "<http://192.0.2.1/v2/x/tags/list>; rel=next"
        registry.then(tags, says(200, b'{"tags":null}', Link=elsewhere))
        with pytest.raises(RegistryError, match="at another host"):
            list(there.tags())
        transport.close()


def test_connections_are_used_again(settings: RegistrySettings) -> None:
    with Misbehaving(Handmade.of()).running() as registry:
        ports = set()

        def note(request: Request, _: bytes) -> None:
            ports.add(request.client_address[1])
            request.reply(404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}')

        registry.then("/v2/x/tags/list", *[note] * 3)
        transport = Transport(settings)
        there = Repository(connect(registry.address, transport, ANONYMOUS), "x")
        for _ in range(3):
            with pytest.raises(NotInRegistryError):
                list(there.tags())
        transport.close()
        assert len(ports) == 1
