"""Registries that stall, break off, lie and mislead: no harm is done, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cellcrate_runtime.images import (
    CorruptContentError,
    Image,
    ImageError,
    ImageStore,
    InvalidArchiveError,
    UnsafeArchiveError,
)
from cellcrate_runtime.images.references import Reference, parse
from cellcrate_runtime.images.registry.credentials import ANONYMOUS, Credential
from cellcrate_runtime.images.registry.downloads import Downloads
from cellcrate_runtime.images.registry.errors import (
    RegistryBusyError,
    RegistryError,
    RegistryUnreachableError,
    TransferCancelledError,
)
from cellcrate_runtime.images.registry.progress import Cancellation, Step
from cellcrate_runtime.images.registry.pull import pull
from cellcrate_runtime.images.registry.settings import RegistrySettings
from images.handmade import Entry, digest
from images.misbehaving import Answer, Handmade, Misbehaving, breaks_after, says, stalls_after
from images.registries import Certificates
from images.sent import random_entries

pytestmark = pytest.mark.once

PATIENCE = 20.0  # seconds
LAYER = 300_000  # bytes of the only layer's only file, which does not compress


@pytest.fixture(scope="module")
def image() -> Handmade:
    return Handmade.of(random_entries("file", LAYER))


@pytest.fixture
def registry(image: Handmade) -> Iterator[Misbehaving]:
    with Misbehaving(image).running() as registry:
        yield registry


@dataclass(frozen=True)
class Trial:
    """One image in a registry that misbehaves, and a store for it."""

    registry: Misbehaving
    image: Handmade
    name: Reference
    store: ImageStore
    settings: RegistrySettings

    def pull(
        self,
        credential: Credential = ANONYMOUS,
        cancellation: Cancellation | None = None,
        **changed: Any,
    ) -> Image:
        """Pull it, perhaps with other settings."""
        settings = replace(self.settings, **changed)
        return pull(self.store, self.name, settings, credential, cancellation=cancellation)

    def has_nothing(self) -> bool:
        """Whether the store has no image, and no part of one."""
        folders = ("blobs/sha256", "layers", "downloads")
        left = [name for folder in folders for name in os.listdir(self.store.root / folder)]
        return not left and not self.store.images()

    def is_whole(self) -> bool:
        """Whether the image is in the store as it should be."""
        found = self.store.get(self.name.canonical)
        [layer] = self.store.lower_dirs(found)
        size = (layer / "file").stat().st_size
        return (found.id, size) == (digest(self.image.config), LAYER)


@pytest.fixture
def trial(
    registry: Misbehaving, image: Handmade, store: ImageStore, settings: RegistrySettings
) -> Trial:
    return Trial(registry, image, parse(f"{registry.address}/x:1"), store, settings)


# -- what is tried again -----------------------------------------------------------------------


def blob_answers(*answers: Answer) -> tuple[Answer, ...]:
    """The configuration is the first blob, and comes as it should."""
    return (says(200), *answers)


def test_a_broken_connection_is_taken_up_where_it_broke(trial: Trial) -> None:
    trial.registry.then("blob", *blob_answers(breaks_after(100_000)))
    trial.pull()
    assert trial.is_whole()
    [_, first, second] = trial.registry.requests("GET", "/blobs/")
    assert "range" not in first.headers
    assert second.headers["range"] == "bytes=100000-"
    assert trial.registry.state.sent == len(trial.image.config) + len(trial.image.layers[0])


def test_a_registry_that_knows_no_ranges(trial: Trial) -> None:
    trial.registry.then("blob", *blob_answers(breaks_after(100_000)))
    trial.registry.then("range", says(200))
    trial.pull()
    assert trial.is_whole()


def test_a_range_that_is_refused(trial: Trial) -> None:
    trial.registry.then("blob", *blob_answers(breaks_after(100_000)))
    trial.registry.then("range", says(416, b""))
    trial.pull()
    assert trial.is_whole()


def test_a_range_that_begins_elsewhere(trial: Trial) -> None:
    layer = trial.image.layers[0]
    trial.registry.then("blob", *blob_answers(breaks_after(100_000)))
    elsewhere = {"Content_Range": f"bytes 0-{len(layer) - 1}/{len(layer)}"}
    trial.registry.then("range", says(206, layer, **elsewhere))
    trial.pull()
    assert trial.is_whole()


@pytest.mark.parametrize("kind", ["manifest", "blob", "/v2/"])
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_passes_is_waited_for(trial: Trial, kind: str, status: int) -> None:
    trial.registry.then(kind, says(status, b"", Retry_After="0"), says(status, b""))
    trial.pull()
    assert trial.is_whole()


def test_what_does_not_pass_is_given_up(trial: Trial) -> None:
    body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow\\u001b[31m down"}]}'
    trial.registry.then("manifest", *[says(429, body)] * trial.settings.attempts)
    with pytest.raises(RegistryBusyError, match=r"^toomanyrequests: slow \[31m down$"):
        trial.pull()
    assert len(trial.registry.requests("GET", "/manifests/")) == trial.settings.attempts


def test_nobody_waits_for_an_hour(trial: Trial) -> None:
    trial.registry.then("manifest", says(429, b"", Retry_After="3600"))
    with pytest.raises(RegistryBusyError, match="come back in 3600 seconds"):
        trial.pull()


def test_a_registry_that_stalls_is_left_and_taken_up(trial: Trial) -> None:
    trial.registry.then("blob", *blob_answers(stalls_after(100_000)))
    trial.pull(patience=0.5)
    assert trial.is_whole()
    assert trial.registry.requests("GET", "/blobs/")[-1].headers["range"] == "bytes=100000-"


def test_a_registry_that_only_stalls(trial: Trial) -> None:
    trial.registry.then("manifest", *[stalls_after(0)] * 2)
    with pytest.raises(RegistryUnreachableError, match="has stopped sending"):
        trial.pull(patience=0.2, attempts=2)
    assert trial.has_nothing()


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (says(200, b"x" * 400_000), "announces 400000 bytes"),
        (says(200, b"x" * 4_000_000, length=-1), "sends more of it"),
        (says(200, b"x"), "announces 1 bytes"),
        (lambda request, honest: request.reply(200, bytes(len(honest))), "asked for sha256:"),
    ],
    ids=["announces more", "sends more", "announces less", "other content"],
)
def test_content_that_is_not_what_the_manifest_says(
    trial: Trial, answer: Answer, message: str
) -> None:
    trial.registry.then("blob", *blob_answers(answer))
    with pytest.raises(CorruptContentError, match=message):
        trial.pull()
    assert trial.has_nothing()


def test_a_download_that_was_damaged_on_the_disk_is_begun_anew(trial: Trial) -> None:
    part = Downloads(trial.store.root, trial.store.blobs).folder / digest(trial.image.layers[0])[7:]
    part.write_bytes(b"damaged")
    trial.pull()
    assert trial.is_whole()


def test_a_blob_that_a_crash_has_damaged_is_got_anew(trial: Trial) -> None:
    downloads = Downloads(trial.store.root, trial.store.blobs)
    wanted = digest(trial.image.layers[0])
    part = downloads.folder / wanted[7:]
    part.write_bytes(bytes(len(trial.image.layers[0])))
    trial.store.blobs.adopt(part, wanted)
    assert trial.store.blobs.has(wanted)
    assert not downloads.is_done(wanted)
    trial.pull()
    assert trial.is_whole()
    assert downloads.is_done(wanted)


def test_a_body_that_ends_too_soon_every_time(trial: Trial) -> None:
    short = says(200, b"", length=-1)
    trial.registry.then("blob", *blob_answers(*[short] * trial.settings.attempts))
    with pytest.raises(RegistryUnreachableError, match="has sent 0 of"):
        trial.pull()


def test_a_manifest_of_another_digest_than_its_header_says(trial: Trial) -> None:
    trial.registry.then("manifest", says(200, None, Docker_Content_Digest=digest(b"another")))
    with pytest.raises(CorruptContentError, match="was not used"):
        trial.pull()
    assert trial.has_nothing()


def test_a_manifest_of_another_digest_than_was_asked_for(trial: Trial) -> None:
    wanted = digest(b"another")
    pinned = replace(trial, name=replace(trial.name, tag=None, digest=wanted))
    with pytest.raises(CorruptContentError, match=wanted):
        pinned.pull()
    assert trial.has_nothing()


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"{", RegistryError, "no manifest"),
        (b"[" * 100_000, RegistryError, "no manifest"),
        (b"x" * 5_000_000, RegistryError, "more than 4194304 bytes"),
        (b'{"schemaVersion":1,"name":"x","fsLayers":[]}', RegistryError, "schema 1"),
        (b'{"schemaVersion":2}', ImageError, "config"),
    ],
)
def test_documents_that_are_none(
    trial: Trial, content: bytes, error: type[Exception], message: str
) -> None:
    kind = "application/vnd.oci.image.manifest.v1+json"
    trial.registry.then("manifest", says(200, content, Content_Type=kind))
    with pytest.raises(error, match=message):
        trial.pull()
    assert trial.has_nothing()


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (Handmade.packed([b"no archive" * 999], [digest(b"")]), InvalidArchiveError, "archive"),
        (Handmade.of([Entry("a")], diff_ids=[digest(b"b")]), CorruptContentError, "damaged"),
        (Handmade.of([Entry("../a")]), UnsafeArchiveError, r"\.\./a"),
        (Handmade.of([Entry("a")], diff_ids=[digest(b"")] * 2), CorruptContentError, "1 layers"),
        (Handmade.of([Entry("a")], diff_ids=["sha256:../../x"]), CorruptContentError, "no sha256"),
    ],
    ids=["no archive", "another archive", "outside", "too many", "bad diff id"],
)
def test_layers_that_cannot_be_unpacked_have_no_name(
    image: Handmade, store: ImageStore, settings: RegistrySettings, error: type, message: str
) -> None:
    with Misbehaving(image).running() as registry, pytest.raises(error, match=message):
        pull(store, parse(f"{registry.address}/x:1"), settings)
    assert store.images() == []
    assert os.listdir(store.root / "layers") == []
    assert os.listdir(store.root / "blobs/sha256") == []


# -- where it leads ----------------------------------------------------------------------------


def test_who_is_redirected_to_gets_no_password(trial: Trial) -> None:
    with Misbehaving(trial.image).running() as other:
        wanted = digest(trial.image.layers[0])
        target = f"http://{other.address}/v2/y/blobs/{wanted}?signature=secret"
        trial.registry.then("/v2/", says(401, b"", WWW_Authenticate='Basic realm="x"'))
        trial.registry.then("manifest", says(401, b"", WWW_Authenticate='Basic realm="x"'))
        trial.registry.then("blob", *blob_answers(says(307, b"", Location=target)))
        trial.pull(credential=Credential("me", "secret"))
        [redirected] = other.requests("GET", "/blobs/")
        assert "authorization" not in redirected.headers
    assert trial.registry.requests("GET", wanted)[0].headers["authorization"].startswith("Basic ")
    assert trial.is_whole()


@pytest.mark.parametrize(
    "target", ["http://192.0.2.1/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "https:///x"]
)
def test_redirects_that_are_not_followed(trial: Trial, target: str) -> None:
    trial.registry.then("blob", *blob_answers(says(307, b"", Location=target)))
    with pytest.raises(RegistryUnreachableError, match="not followed"):
        trial.pull(attempts=1)


def test_a_redirect_gives_up_no_tls(
    trial: Trial, certificates: Certificates, tmp_path: Path
) -> None:
    plain = trial.registry
    with Misbehaving(trial.image, certificates).running() as safe:
        folder = tmp_path / "certs.d" / safe.address
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes(certificates.authority.read_bytes())
        trusting = replace(trial, name=parse(f"{safe.address}/x:1"))
        trusting.pull(certificates=(tmp_path / "certs.d",))
        assert trusting.is_whole()
        safe.then("manifest", says(307, b"", Location=f"http://{plain.address}/v2/x/y"))
        with pytest.raises(RegistryUnreachableError, match="give up the safety of TLS"):
            trusting.pull(certificates=(tmp_path / "certs.d",))
    assert plain.state.requests == []


def test_a_redirect_in_circles(trial: Trial) -> None:
    trial.registry.then("manifest", *[says(307, b"", Location="/v2/x/manifests/1")] * 20)
    with pytest.raises(RegistryUnreachableError, match="in circles"):
        trial.pull()


# -- stopping, and going on --------------------------------------------------------------------


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_cancelled_pull_stops_though_the_registry_stalls(trial: Trial) -> None:
    trial.registry.then("blob", *blob_answers(stalls_after(100_000)))
    cancellation = Cancellation()
    raised: list[BaseException] = []

    def work() -> None:
        try:
            trial.pull(cancellation=cancellation, patience=600.0)
        except TransferCancelledError as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: trial.registry.state.sent >= 100_000)
    cancellation.cancel()
    thread.join(PATIENCE)
    assert len(raised) == 1
    assert trial.store.images() == []


PULL = """
import sys
from pathlib import Path
from cellcrate_runtime.images import ImageStore
from cellcrate_runtime.images.references import parse
from cellcrate_runtime.images.registry.pull import pull
from cellcrate_runtime.images.registry.settings import RegistrySettings
pull(ImageStore(Path(sys.argv[1])), parse(sys.argv[2]), RegistrySettings())
"""


def test_a_killed_pull_goes_on_and_transfers_what_was_missing(
    store: ImageStore, settings: RegistrySettings
) -> None:
    image = Handmade.of(random_entries("a", 200_000), random_entries("b", 300_000))
    with Misbehaving(image).running() as registry:
        second = digest(image.layers[1])

        def answer(request: object, honest: bytes) -> None:
            stall = stalls_after(150_000) if digest(honest) == second else says(200)
            stall(request, honest)  # type: ignore[arg-type]

        registry.then("blob", says(200), answer, answer)
        name = f"{registry.address}/x:1"
        root = str(store.root)
        process = subprocess.Popen(
            [sys.executable, "-c", PULL, root, name],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        part = store.root / "downloads" / second[7:]
        until(lambda: part.exists() and part.stat().st_size == 150_000)
        until(lambda: store.blobs.has(digest(image.layers[0])))
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
        store.collect()  # whoever tidies up meanwhile does no harm
        before = registry.state.sent
        found = pull(store, parse(name), settings)
        assert len(store.lower_dirs(found)) == 2
        rest = len(image.layers[1]) - 150_000
        assert registry.state.sent - before == rest + len(image.config)
        assert os.listdir(store.root / "downloads") == []


def test_two_pulls_at_once_download_once(store: ImageStore, settings: RegistrySettings) -> None:
    image = Handmade.of(random_entries("file", LAYER))
    with Misbehaving(image).running() as registry:
        go_on = threading.Event()

        def slowly(request: object, honest: bytes) -> None:
            go_on.wait(PATIENCE)
            says(200)(request, honest)  # type: ignore[arg-type]

        registry.then("blob", says(200), slowly)
        names = [parse(f"{registry.address}/{path}:1") for path in ("x", "y")]
        watched: list[Step] = []
        threads = [
            threading.Thread(target=pull, args=(store, one, settings), kwargs={"report": report})
            for one, report in zip(names, (lambda _: None, watched.append), strict=True)
        ]
        threads[0].start()
        until(lambda: len(registry.requests("GET", digest(image.layers[0]))) == 1)
        threads[1].start()
        until(lambda: any(step.status == "Downloading" for step in watched))
        go_on.set()
        for thread in threads:
            thread.join(PATIENCE)
        assert len(registry.requests("GET", digest(image.layers[0]))) == 1
        assert {store.get(one.canonical).id for one in names} == {digest(image.config)}


def test_what_nobody_goes_on_with_is_removed_some_day(store: ImageStore) -> None:
    downloads = Downloads(store.root, store.blobs)
    old, new = (downloads.folder / digest(name)[7:] for name in (b"old", b"new"))
    other = downloads.folder / "other"
    for file in (old, new, other):
        file.write_bytes(b"some")
    os.utime(old, (1, 1))
    assert downloads.remove_old() == 4
    assert sorted(downloads.folder.iterdir()) == sorted([new, other])
    assert downloads.remove_old(0) == 4
