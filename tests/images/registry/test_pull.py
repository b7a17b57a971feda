"""Images pulled from a real registry."""

from __future__ import annotations

import os

import pytest

from cellcrate_runtime.images import ImageNotFoundError, ImageStore
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


@pytest.mark.parametrize("kind", [OCI, DOCKER], ids=["oci", "docker"])
def test_an_image_is_pulled_unpacked_and_named(
    registry: Registry,
    sender: Sender,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
    kind: Kind,
) -> None:
    sent = sender.image(repository, "1", [folder("a"), Entry("a/b", b"c")], [Entry("d")], kind=kind)
    steps: list[Step] = []
    name = registry.name(f"{repository}:1")
    image = pull(store, parse(name), settings, report=steps.append)
    assert image.id == sent.config
    assert image.manifest_digest == sent.digest
    assert image.repo_tags == [name]
    assert image.repo_digests == [f"{registry.name(repository)}@{sent.digest}"]
    assert image.diff_ids == sent.diff_ids
    top, bottom = store.lower_dirs(image)
    assert (bottom / "a/b").read_bytes() == b"c"
    assert (top / "d").exists()
    assert os.listdir(store.root / "downloads") == []
    said = [step.status for step in steps]
    assert said[0] == f"Pulling from {repository}"
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


def test_pulling_again_transfers_nothing(
    registry: Registry,
    sender: Sender,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
) -> None:
    sender.image(repository, "1", random_entries("x", 1000))
    name = parse(registry.name(f"{repository}:1"))
    first = pull(store, name, settings)
    before = len(registry.requests("GET", f"{repository}/blobs"))
    steps: list[Step] = []
    assert pull(store, name, settings, report=steps.append) == first
    assert len(registry.requests("GET", f"{repository}/blobs")) == before
    assert steps[-1].status == f"Status: Image is up to date for {name}"


def test_an_image_that_shares_layers_transfers_what_is_new(
    registry: Registry,
    sender: Sender,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
) -> None:
    shared, own = random_entries("shared", 50_000), random_entries("own", 10_000)
    sender.image(repository, "1", shared)
    second = sender.image(repository, "2", shared, own)
    pull(store, parse(registry.name(f"{repository}:1")), settings)
    before = len(registry.blobs_sent())
    steps: list[Step] = []
    image = pull(store, parse(registry.name(f"{repository}:2")), settings, report=steps.append)
    transferred = [request.path.rpartition("/")[2] for request in registry.blobs_sent()[before:]]
    assert sorted(transferred) == sorted([second.config, second.layers[1]])
    assert Step("Already exists", second.layers[0][7:19]) in steps
    assert len(store.lower_dirs(image)) == 2


def test_the_same_layer_twice(
    registry: Registry,
    sender: Sender,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
) -> None:
    sent = sender.image(repository, "1", [Entry("a")], [Entry("b")], [Entry("a")])
    image = pull(store, parse(registry.name(f"{repository}:1")), settings)
    assert image.diff_ids == sent.diff_ids
    assert len(store.lower_dirs(image)) == 3


def test_a_tag_that_moved_leaves_the_old_image_without_a_tag(
    registry: Registry,
    sender: Sender,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
) -> None:
    name = parse(registry.name(f"{repository}:1"))
    old = sender.image(repository, "1", [Entry("old")])
    pull(store, name, settings)
    new = sender.image(repository, "1", [Entry("new")])
    assert pull(store, name, settings).id == new.config
    assert store.get(name.canonical).id == new.config
    assert store.get(old.config).repo_tags == []


def test_a_digest_pins_an_image(
    registry: Registry,
    sender: Sender,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
) -> None:
    first = sender.image(repository, "1", [Entry("first")])
    sender.image(repository, "1", [Entry("second")])
    name = registry.name(f"{repository}@{first.digest}")
    image = pull(store, parse(name), settings)
    assert image.id == first.config
    assert (image.repo_tags, image.repo_digests) == ([], [name])


def test_an_index_is_resolved_for_a_platform(
    registry: Registry,
    sender: Sender,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
) -> None:
    kinds = {
        "linux/amd64": ("amd64", None),
        "linux/arm64": ("arm64", None),
        "linux/arm/v7": ("arm", "v7"),
    }
    images = {
        name: sender.image(
            repository, "", [Entry(name.replace("/", "-"))], architecture=kind[0], variant=kind[1]
        )
        for name, kind in kinds.items()
    }
    index = sender.index(repository, "1", images)
    name = parse(registry.name(f"{repository}:1"))
    for wanted in images:
        image = pull(store, name, settings, platform=parse_platform(wanted))
        assert image.id == images[wanted].config
        assert image.repo_digests == [f"{registry.name(repository)}@{index.digest}"]
    with pytest.raises(NotInRegistryError, match="linux/amd64, linux/arm/v7, linux/arm64"):
        pull(store, name, settings, platform=parse_platform("linux/s390x"))


def test_an_image_for_another_platform_than_was_asked_for_is_refused(
    registry: Registry,
    sender: Sender,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
) -> None:
    sender.image(repository, "1", [Entry("x")], architecture="arm64")
    name = parse(registry.name(f"{repository}:1"))
    with pytest.raises(NotInRegistryError, match="wanted linux/amd64, actual: linux/arm64"):
        pull(store, name, settings, platform=parse_platform("linux/amd64"))
    assert store.images() == []


def test_what_is_not_there(
    registry: Registry,
    sender: Sender,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
) -> None:
    name = parse(registry.name(f"{repository}:1"))
    with pytest.raises(NotInRegistryError, match=r"manifest for .* not found: manifest unknown"):
        pull(store, name, settings)
    with pytest.raises(ImageNotFoundError):
        store.get(name.canonical)
    with Puller(store, settings) as puller, pytest.raises(NotInRegistryError, match="not found"):
        puller.tags(name)


def test_tags_are_listed(
    registry: Registry,
    sender: Sender,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
) -> None:
    for tag in ("1", "2", "latest"):
        sender.image(repository, tag, [Entry("x")])
    with Puller(store, settings) as puller:
        assert sorted(puller.tags(parse(registry.name(repository)))) == ["1", "2", "latest"]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"}, "foreign"),
        ({"urls": ["http://127.0.0.1:1/x"]}, "foreign"),
        ({"mediaType": "application/x-something"}, "not understood here"),
    ],
)
def test_layers_that_are_refused(
    registry: Registry,
    sender: Sender,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
    part: dict[str, object],
    message: str,
) -> None:
    layer = {"mediaType": OCI.layer, **sender.blob(repository, b"x"), **part}
    config = {"mediaType": OCI.config, **sender.blob(repository, b"{}")}
    document = {
        "schemaVersion": 2,
        "mediaType": OCI.manifest,
        "config": config,
        "layers": [layer],
    }
    sender.manifest(repository, "1", document, OCI.manifest)
    with pytest.raises(RegistryError, match=message):
        pull(store, parse(registry.name(f"{repository}:1")), settings)
    assert os.listdir(store.root / "blobs/sha256") == []


def test_an_artifact_is_no_image(
    registry: Registry,
    sender: Sender,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
) -> None:
    config = {"mediaType": "application/vnd.example+json", **sender.blob(repository, b"{}")}
    document = {
        "schemaVersion": 2,
        "mediaType": OCI.manifest,
        "config": config,
        "layers": [],
    }
    sender.manifest(repository, "1", document, OCI.manifest)
    with pytest.raises(RegistryError, match=r"no image to run: it holds application/vnd\.example"):
        pull(store, parse(registry.name(f"{repository}:1")), settings)


def test_a_manifest_is_deleted_by_its_digest(
    registry: Registry, sender: Sender, settings: RegistrySettings, repository: str
) -> None:
    sent = sender.image(repository, "1", [Entry("x")])
    transport = Transport(settings)
    there = Repository(connect(registry.address, transport, ANONYMOUS), repository)
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
