"""Builds through docker-py: what they say, what they keep, what they make again and what not."""

from __future__ import annotations

import base64
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from cellcrate_runtime.engine.building.workspace import secrets_folders
from cellcrate_runtime.images import ImageStore
from engine.building.cases import CASES, context_of
from engine.building.conftest import TOOLS, Built, packed
from engine.conftest import RunningEngine, eventually
from images.tar_bytes import block

Build = Callable[..., Built]
EPOCH = "1600000000"


def output(engine: RunningEngine, image: str, *command: str) -> str:
    """Run a program in an image, and return what it writes."""
    said: bytes = engine.client.containers.run(image, list(command), remove=True)
    return said.decode()


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A small context."""
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "a.txt").write_text("a\n")
    (folder / "b.txt").write_text("b\n")
    (folder / "Dockerfile").write_text(
        f"FROM {TOOLS}\nARG A=1\nCOPY a.txt /a\nRUN cat /a > /made; echo $A >> /made\nENV X=y\n"
    )
    return folder


def test_it_says_what_docker_says(engine: RunningEngine, build: Build) -> None:
    built = build(f"FROM {TOOLS}\nRUN echo hello; echo oops >&2\n", tag="said:1", nocache=True)
    lines = built.lines.splitlines()
    assert lines[0] == f"Step 1/2 : FROM {TOOLS}"
    assert lines[1].startswith(" ---> ")
    assert lines[2] == "Step 2/2 : RUN echo hello; echo oops >&2"
    assert lines[3].startswith(" ---> Running in ")
    assert {*lines[4:6]} == {"hello", "oops"}
    container = lines[3].removeprefix(" ---> Running in ")
    short = built.image_id.removeprefix("sha256:")[:12]
    assert lines[6:] == [
        f"Removing intermediate container {container}",
        f" ---> {short}",
        f"Successfully built {short}",
        "Successfully tagged said:1",
    ]
    assert not engine.containers()


def test_quietly(build: Build) -> None:
    built = build(f"FROM {TOOLS}\nRUN echo hello\n", quiet=True)
    assert [document["stream"].startswith("sha256:") for document in built.documents] == [True]


def test_the_base_image_has_no_newer_one(build: Build) -> None:
    assert not build("FROM cellcrate/base\n", pull=True).error


def test_names_and_labels(engine: RunningEngine, build: Build) -> None:
    built = build(f"FROM {TOOLS}\nLABEL a=file b=kept\n", tag="named:2", labels={"a": "given"})
    image = engine.client.images.get("named:2")
    assert image.id == built.image_id
    assert image.labels == {"a": "given", "b": "kept"}
    assert "named:2" in image.tags


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.target])
def test_every_dockerfile_is_built_by_every_user(build: Build, name: str, tmp_path: Path) -> None:
    built = build(context_of(name, tmp_path), buildargs=CASES[name].arguments)
    assert built.image_id
    assert not built.error


# -- the cache ---------------------------------------------------------------------------------


def test_the_same_again_makes_nothing_and_is_the_same_image(build: Build, context: Path) -> None:
    first = build(context)
    (context / "a.txt").touch()  # a time is nothing that counts
    (context / "b.txt").write_text("nobody copies it")
    second = build(context)
    assert second.image_id == first.image_id
    assert second.cached == 4
    assert "Running in" not in second.lines


def test_other_content_or_another_mode_is_another_step(build: Build, context: Path) -> None:
    first = build(context)
    (context / "a.txt").write_text("other\n")
    second = build(context)
    assert second.image_id != first.image_id
    assert second.cached == 1  # the ARG
    (context / "a.txt").chmod(0o600)
    assert build(context).cached == 1


def test_an_argument_counts_for_run_and_not_before(build: Build, context: Path) -> None:
    build(context)
    other = build(context, buildargs={"A": "2"})
    assert other.cached == 1 + 1  # ARG A=1 is as it was, and COPY
    assert build(context, buildargs={"A": "2"}).cached == 4


def test_proxies_are_there_and_no_part_of_anything(engine: RunningEngine, build: Build) -> None:
    text = f'FROM {TOOLS}\nRUN test -n "$HTTP_PROXY"; echo $HTTP_PROXY > /seen\n'
    first = build(text, buildargs={"HTTP_PROXY": "http://one.example"}, nocache=True)
    second = build(text, buildargs={"HTTP_PROXY": "http://two.example"})
    assert second.image_id == first.image_id
    assert "one.example" not in json.dumps(engine.client.api.history(first.image_id))


def test_without_cache(build: Build, context: Path) -> None:
    build(context)
    again = build(context, nocache=True)
    assert again.cached == 0
    assert "Running in" in again.lines


def test_steps_of_an_image_count_as_done(
    engine: RunningEngine, build: Build, context: Path
) -> None:
    first = build(context, tag="before:1", nocache=True)
    engine.client.api.prune_builds(all=True)
    assert build(context, cache_from=["before:1", "none:1"]).image_id == first.image_id
    engine.client.api.prune_builds(all=True)
    assert build(context).image_id != first.image_id


def test_what_is_pruned_is_made_again(engine: RunningEngine, build: Build, context: Path) -> None:
    built = build(context, nocache=True)
    engine.client.images.remove(built.image_id, force=True)
    before = engine.client.df()
    assert any("RUN" in e["Description"] or "cat" in e["Description"] for e in before["BuildCache"])
    assert build(context).cached == 4  # its layers were kept for this
    engine.client.images.remove(built.image_id, force=True)
    pruned = engine.client.api.prune_builds(all=True)
    assert pruned["CachesDeleted"]
    assert pruned["SpaceReclaimed"] > 0
    after = engine.client.df()
    assert (after["BuildCache"], after["BuilderSize"]) == ([], 0)
    assert build(context).cached == 0


def test_pruning_keeps_what_is_asked_for(
    engine: RunningEngine, build: Build, context: Path
) -> None:
    build(context)
    assert not engine.client.api.prune_builds(filters={"until": "1h"}, all=True)["CachesDeleted"]
    assert not engine.client.api.prune_builds(keep_storage=1 << 30, all=True)["CachesDeleted"]
    assert build(context).cached == 4


def test_the_same_input_gives_the_same_digest(
    engine: RunningEngine, build: Build, context: Path
) -> None:
    arguments = {"SOURCE_DATE_EPOCH": EPOCH}
    first = build(context, buildargs=arguments, nocache=True)
    second = build(context, buildargs=arguments, nocache=True)
    assert second.image_id == first.image_id
    assert engine.client.images.get(first.image_id).attrs["Created"].startswith("2020-09-13")
    store = ImageStore(engine.paths.images)
    for folder in store.lower_dirs(store.get(first.image_id))[:-1]:
        assert all(path.lstat().st_mtime <= int(EPOCH) for path in folder.rglob("*"))


# -- what goes wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM tools:1\nRUNN x\n", "dockerfile parse error on line 2: unknown instruction: RUNN"),
        ("FROM tools:1\nCOPY --frm=x a /\n", "unknown flag: --frm (did you mean from?)"),
        ("", "The Dockerfile (Dockerfile) cannot be empty"),
        ("FROM tools:1 AS a\nFROM a AS a\n", "duplicate name a"),
    ],
)
def test_a_wrong_dockerfile_is_told_before_anything_is_done(
    build: Build, text: str, message: str
) -> None:
    with pytest.raises(docker.errors.APIError) as failure:
        build(text)
    assert failure.value.status_code == 400
    assert message in failure.value.explanation


@pytest.mark.parametrize(
    ("text", "message", "code"),
    [
        ("RUN exit 3", "The command '/bin/sh -c exit 3' returned a non-zero code: 3", 3),
        ('RUN ["/none"]', "/none", 0),
        ("COPY none /", "COPY failed: file not found in build context or excluded", 0),
        ("COPY n*ne /", "COPY failed: no source files were specified", 0),
        ("COPY --from=none:1 /a /", "none:1", 0),
        ("COPY --chown=nobody-there Dockerfile /", "no such user: nobody-there", 0),
        ("COPY Dockerfile /etc/passwd/x", "cannot copy to non-directory", 0),
        ("COPY Dockerfile Dockerfile /x", "the destination must be a directory and end with", 0),
        ("ADD https://127.0.0.1:9/x /", "cannot be reached from this machine", 0),
        ("ADD https://example.com/x.git /", "is a Git repository", 0),
        ("EXPOSE many", "invalid containerPort: many", 0),
        ("STOPSIGNAL SIGNOTHING", "Invalid signal: SIGNOTHING", 0),
        ("ENV A=${", "missing '}'", 0),
        ("RUN --mount=type=cash,target=/x true", 'unsupported mount type "cash"', 0),
        ("RUN --mount=type=secret,id=s,required=true true", "secret s: not found", 0),
        ("RUN --mount=type=secret,id=s,env=S true", "env= is not supported", 0),
    ],
)
def test_a_step_that_fails_says_why_and_leaves_nothing(
    engine: RunningEngine, build: Build, text: str, message: str, code: int
) -> None:
    before = len(engine.client.images.list(all=True))
    built = build(f"FROM {TOOLS}\n{text}\n", tag="failed:1")
    assert message in built.error
    assert built.code == code
    assert not built.image_id
    assert len(engine.client.images.list(all=True)) == before
    assert not engine.containers()
    assert not list((engine.paths.data / "builds").iterdir())


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("version=2", "DOCKER_BUILDKIT=0"),
        ("remote=https://example.com/x.tar", "remote"),
        ("squash=1", "squashing"),
        ("outputs=%5B%7B%7D%5D", "another output"),
        ("platform=linux/never", "not this machine's"),
        ("t=Not%20A%20Name", "invalid reference format"),
        ("buildargs=x", "invalid buildargs"),
        ("target=none", "target stage none could not be found"),
    ],
)
def test_what_is_not_served_is_refused_in_words(
    engine: RunningEngine, query: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {TOOLS}\n")
    answer = engine.request("POST", f"/build?{query}", packed(tmp_path), "application/x-tar")
    assert answer.status >= 400
    assert words in answer.message


# -- contexts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_contexts_may_be_packed(build: Build, context: Path, mode: str) -> None:
    stream = io.BytesIO(packed(context, mode))
    assert not build_raw(build, stream).error


def build_raw(build: Build, stream: io.BytesIO, **options: Any) -> Built:
    """Build what an archive holds."""
    return build("", fileobj=stream, custom_context=True, **options)


@pytest.mark.parametrize("name", ["../out", "/../out", "a/../../out"])
def test_a_context_cannot_be_unpacked_elsewhere(
    engine: RunningEngine, name: str, tmp_path: Path
) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    answer = engine.request("POST", "/build", stream.getvalue(), "application/x-tar")
    assert answer.status == 400
    assert "outside" in answer.message
    assert not list((engine.paths.data / "builds").iterdir())


def test_what_is_no_archive_is_no_context(engine: RunningEngine) -> None:
    answer = engine.request("POST", "/build", b"FROM scratch\n" * 100, "application/x-tar")
    assert answer.status == 400
    assert "cannot be unpacked" in answer.message


def test_a_header_of_any_length_is_not_read(engine: RunningEngine) -> None:
    """It would lie in the engine's memory as a whole."""
    context = block(b"PaxHeader", b"x", size=1 << 30) + bytes(1 << 20)
    answer = engine.request("POST", "/build", context, "application/x-tar")
    assert answer.status == 400
    assert "header of 1073741824 bytes" in answer.message


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../../etc/passwd"])
def test_links_of_a_context_lead_nowhere_else(
    engine: RunningEngine, build: Build, context: Path, target: str
) -> None:
    (context / "link").symlink_to(target)
    (context / "Dockerfile").write_text(f"FROM {TOOLS}\nCOPY link /x\n")
    assert "file not found in build context" in build(context).error


def test_a_link_of_a_context_that_replaces_a_folder(engine: RunningEngine, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        link = tarfile.TarInfo("folder")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("folder/file"), io.BytesIO())
    engine.request("POST", "/build", stream.getvalue(), "application/x-tar")
    assert not list(outside.iterdir())


# -- RUN ---------------------------------------------------------------------------------------


def test_what_the_runtime_makes_is_no_part_of_a_layer(engine: RunningEngine, build: Build) -> None:
    built = build(f"FROM {TOOLS}\nRUN --mount=type=tmpfs,target=/x/y true\nRUN echo > /made\n")
    store = ImageStore(engine.paths.images)
    layers = store.lower_dirs(store.get(built.image_id))
    assert sorted(p.name for folder in layers[:-1] for p in folder.rglob("*")) == ["made"]


def test_there_is_no_network_unless_it_is_asked_for(build: Build) -> None:
    built = build(f"FROM {TOOLS}\nRUN ls /sys/class/net; cat /proc/net/dev\n", nocache=True)
    assert "lo:" in built.lines
    assert "eth0" not in built.lines


def test_a_cache_is_kept_and_is_in_no_image(engine: RunningEngine, build: Build) -> None:
    mount = "RUN --mount=type=cache,target=/kept,id=mine"
    text = f"FROM {TOOLS}\n{mount} echo x >> /kept/f && wc -l < /kept/f\n"
    assert "\n1\n" in build(text, nocache=True).lines
    built = build(text, nocache=True)
    assert "\n2\n" in built.lines
    assert output(engine, built.image_id, "sh", "-c", "ls /kept 2>/dev/null | wc -l").strip() == "0"


def test_a_secret_is_nowhere_else(engine: RunningEngine, build: Build) -> None:
    secret = "correct-horse-battery"
    header = json.dumps({"token": base64.b64encode(secret.encode()).decode()})
    encoded = base64.urlsafe_b64encode(header.encode()).decode().rstrip("=")
    text = (
        f"FROM {TOOLS}\nRUN --mount=type=secret,id=token "
        "wc -c < /run/secrets/token && ls -l /run/secrets/token && grep run/secrets /proc/mounts\n"
    )
    session = engine.client.api
    session.headers["X-Cellcrate-Build-Secrets"] = encoded
    try:
        built = build(text, nocache=True)
    finally:
        del session.headers["X-Cellcrate-Build-Secrets"]
    assert f"\n{len(secret)}\n" in built.lines
    assert "-r--------" in built.lines
    eventually(lambda: not os.listdir(engine.paths.data / "builds"), "the build's folder goes")
    for folder, below, files in os.walk(engine.paths.data.parent):
        # What is in layers is in their blobs, too, as it is; and an ordinary user may read them.
        below[:] = [name for name in below if name != "layers"]
        for path in map(Path(folder).joinpath, files):
            if path.is_file() and not path.is_symlink():
                assert secret.encode() not in path.read_bytes()
    store = ImageStore(engine.paths.images)
    image = store.get(built.image_id)
    assert len(image.diff_ids) == 1  # nothing of it is in a layer, not even the folder
    assert secrets_folders(engine.paths) == []


def test_a_secret_that_is_none_is_refused(engine: RunningEngine, build: Build) -> None:
    engine.client.api.headers["X-Cellcrate-Build-Secrets"] = "%%%"
    try:
        with pytest.raises(docker.errors.APIError, match="invalid X-Cellcrate-Build-Secrets"):
            build(f"FROM {TOOLS}\n")
    finally:
        del engine.client.api.headers["X-Cellcrate-Build-Secrets"]
