"""The image commands say of an engine what they say of a real Docker Engine, with the same images.

What must differ is taken out: where layers lie on disk, how the base image is called. Everything
else, from the columns of ``docker images`` to the members of ``docker inspect``, is the same text.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from images import peers

from ..conftest import RunningEngine, make_home
from .conftest import CLIENTS, Docker

pytestmark = [
    pytest.mark.peer,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="Docker Engine is started by root alone."),
]
Both = tuple[Docker, Docker]


def archive(content: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size, entry.mtime = len(content), 1_000_000_000
        tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture(scope="module")
def sockets(base_image: Path) -> Iterator[tuple[Path, Path]]:
    """An engine of ours without images, and a Docker Engine, which get the same images."""
    with peers.dockerd() as docker:
        ours = RunningEngine(make_home(base_image))
        try:
            ours.client.images.remove(ours.image, force=True)
            _give_images(docker.socket, ours.socket)
            yield ours.socket, docker.socket
        finally:
            ours.close()


def _give_images(theirs: Path, ours: Path) -> None:
    """Have Docker make images, and load them into both, so that the configurations are the same."""

    def docker(host: Path, *words: str, given: bytes = b"") -> bytes:
        done = subprocess.run(
            ["/usr/bin/docker", "-H", f"unix://{host}", *words],
            input=given,
            capture_output=True,
            timeout=peers.TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    flags = [
        'CMD ["a", "b"]',
        "ENV A=1",
        "EXPOSE 80",
        "LABEL l=1 m=2",
        "VOLUME /v",
        "USER u",
        "WORKDIR /w",
        "HEALTHCHECK --interval=5s CMD true",
        "ONBUILD RUN x",
        'ENTRYPOINT ["e"]',
    ]
    changes = [word for flag in flags for word in ("-c", flag)]
    docker(theirs, "import", *changes, "-m", "said", "-", "full:one", given=archive(b"one"))
    docker(theirs, "import", "-", "bare:1", given=archive(b"bare"))
    docker(theirs, "tag", "full:one", "other.example:5000/a/b:two")
    docker(theirs, "tag", "full:one", "full:two")
    names = ["full:one", "full:two", "bare:1", "other.example:5000/a/b:two"]
    saved = docker(theirs, "save", *names)
    for host in (theirs, ours):
        docker(host, "load", given=saved)


@pytest.fixture(params=CLIENTS or [None], ids=str)
def both(
    request: pytest.FixtureRequest,
    sockets: tuple[Path, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Both:
    """The docker command, for our engine and for Docker's."""
    if request.param is None:
        pytest.skip("this machine has no docker command (Debian: docker.io)")
    config = tmp_path_factory.mktemp("docker")
    ours, theirs = (Docker(request.param, socket, config) for socket in sockets)
    return ours, theirs


def said(docker: Docker, *words: str) -> tuple[int, str]:
    done = docker.run(*words)
    return done.returncode, done.stdout + done.stderr


def lines(text: str) -> list[str]:
    """The lines in any order, without how long ago, which two commands may say differently."""
    text = re.sub(r"(Less than a second|About a \w+|\d+ (second|minute)s?) ago", "AGO", text)
    return sorted(re.sub(r" +", " ", line) for line in text.splitlines())


@pytest.mark.parametrize(
    "words",
    [
        ("images",),
        ("images", "-a"),
        ("images", "--digests"),
        ("images", "--no-trunc"),
        ("image", "ls", "full"),
        ("image", "ls", "full:t*"),
        ("image", "ls", "nothing"),
        ("images", "-q"),
        ("images", "--filter", "label=l=1"),
        ("images", "--filter", "label=l=2"),
        ("images", "--filter", "dangling=true"),
        ("images", "--filter", "dangling=false"),
        ("images", "--filter", "reference=*"),
        ("images", "--filter", "reference=*/*/*:t??"),
        ("images", "--filter", "reference=full:o*", "--filter", "reference=bare"),
        ("images", "--filter", "before=bare:1"),
        ("images", "--filter", "since=full:one"),
        ("images", "--filter", "since=no:such"),
        ("images", "--format", "{{json .}}", "bare"),
        ("history", "full:one"),
        ("history", "--no-trunc", "bare:1"),
        ("history", "no:such"),
        ("inspect", "no:such"),
        ("image", "inspect", "-f", "{{json .Config}}", "full:one"),
        ("image", "inspect", "-f", "{{json .RootFS}}", "bare:1"),
        ("rmi", "no:such"),
        ("tag", "no:such", "a:b"),
        ("tag", "bare:1", "a@sha256:" + "0" * 64),
        ("image", "rm", "full"),
    ],
    ids=" ".join,
)
def test_the_same_is_said(both: Both, words: tuple[str, ...]) -> None:
    (our_status, our_text), (their_status, their_text) = (said(one, *words) for one in both)
    assert our_status == their_status, our_text
    assert lines(our_text) == lines(their_text)


@pytest.mark.parametrize("words", [("images", "--filter", "nosuch=1"), ("rmi", "INVALID")])
def test_the_same_is_refused(both: Both, words: tuple[str, ...]) -> None:
    """Docker's own words differ from version to version."""
    for one in both:
        status, text = said(one, *words)
        assert status == 1
        assert re.search(r"invalid filter 'nosuch'|invalid reference format.*lower", text, re.I)


@pytest.mark.parametrize("name", ["full:one", "bare:1"])
def test_inspect_has_the_same_members_and_values(sockets: tuple[Path, Path], name: str) -> None:
    ours, theirs = (asked(socket, f"/images/{name}/json") for socket in sockets)
    assert set(ours) == set(theirs)
    for member in set(ours) - {"GraphDriver", "Metadata", "ContainerConfig"}:
        if member in ("RepoTags", "RepoDigests"):
            ours[member], theirs[member] = sorted(ours[member]), sorted(theirs[member])
        assert ours[member] == theirs[member], member
    for member in ("Metadata", "GraphDriver", "ContainerConfig"):
        assert ours[member].keys() == theirs[member].keys()


def asked(socket: Path, path: str) -> Any:
    """Ask in the version of the API that both know."""
    return json.loads(peers.call("curl", "-sf", "--unix-socket", socket, f"http://x/v1.41{path}"))


@pytest.mark.parametrize("path", ["/images/json", "/images/json?all=1&digests=1&shared-size=1"])
def test_a_list_has_the_same_members(sockets: tuple[Path, Path], path: str) -> None:
    found: list[dict[str, Any]] = []
    for socket in sockets:
        images = {image["Id"]: image for image in asked(socket, path)}
        for image in images.values():
            image["RepoTags"].sort()
            # Docker says null for none in lists, and in later versions [].
            image["RepoDigests"] = image["RepoDigests"] or []
            image.pop("SharedSize")
        found.append(images)
    ours, theirs = found
    assert ours == theirs


def test_removal_says_the_same(both: Both) -> None:
    for words in (
        ("rmi", "full:two"),
        ("rmi", both[0]("images", "-q", "full:one")),
        ("tag", "full:one", "full:two"),
        ("create", "--name", "user", "bare:1", "x"),
        ("rmi", "bare:1"),
        ("image", "prune", "--force"),
    ):
        (our_status, our_text), (their_status, their_text) = (said(one, *words) for one in both)
        assert our_status == their_status, f"{words}: {our_text} {their_text}"
        if words[0] == "create":
            continue
        ours, theirs = (
            re.sub(r"container [0-9a-f]{12}", "container ID", text)
            for text in (our_text, their_text)
        )
        assert lines(ours) == lines(theirs), words
    for one in both:
        one("rm", "user")
