"""docker commit and docker import."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Docker

Box = Callable[..., str]


@pytest.fixture(autouse=True)
def only_the_base_image(docker: Docker) -> Iterator[None]:
    """Remove the images that a test has made."""
    yield
    docker.run("rm", "-f", *docker("ps", "-aq").split())
    for image in docker("images", "-aq", "--no-trunc").split():
        if image != docker("images", "-q", "--no-trunc", docker.image):
            docker.run("rmi", "-f", image)
    assert docker("images", "-aq", "--no-trunc") == docker(
        "images", "-q", "--no-trunc", docker.image
    )


def inspect(docker: Docker, name: str) -> Any:
    return json.loads(docker("inspect", name))[0]


def test_a_commit_has_what_the_container_changed(docker: Docker) -> None:
    script = (
        "echo new > /new; chmod 4711 /new; ln -s new /link; rm /usr/bin/env; mkdir /d; ls / > /d/f"
    )
    docker("run", "--name", "changed", docker.image, "sh", "-c", script)
    said = docker("commit", "-m", "so it was", "-a", "A. Author", "changed", "made:one")
    assert said == inspect(docker, "made:one")["Id"]
    shown = docker("run", "--rm", "made:one", "sh", "-c", "stat -c '%a %u' /new; cat /link /d/f")
    assert shown.startswith("4711 0\nnew\n")
    assert docker.run("run", "--rm", "made:one", "test", "-e", "/usr/bin/env").returncode == 1
    image, base = inspect(docker, "made:one"), inspect(docker, docker.image)
    assert image["Comment"] == "so it was"
    assert image["Author"] == "A. Author"
    assert image["Parent"] == base["Id"]
    assert image["RootFS"]["Layers"][:-1] == base["RootFS"]["Layers"]
    newest = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", "made:one")
    assert newest.splitlines()[0] == f"sh -c {script}|so it was"


def test_a_running_container_is_committed_and_goes_on(docker: Docker, box: Box) -> None:
    name = box()
    docker("exec", name, "sh", "-c", "echo content > /file")
    docker("commit", name, "made:running")
    assert docker("inspect", "-f", "{{.State.Status}}", name) == "running"
    docker("commit", "--pause=false", name, "made:running2")
    assert docker("run", "--rm", "made:running", "cat", "/file") == "content"
    assert docker("run", "--rm", "made:running2", "cat", "/file") == "content"


def test_a_commit_of_nothing_adds_no_layer(docker: Docker) -> None:
    docker("create", "--name", "idle", docker.image, "true")
    docker("commit", "idle", "made:same")
    image, base = inspect(docker, "made:same"), inspect(docker, docker.image)
    assert image["RootFS"] == base["RootFS"]
    assert image["Id"] != base["Id"]


def test_the_configuration_is_the_containers_with_changes(docker: Docker) -> None:
    options = ["-e", "A=1", "-e", "B=2", "-l", "l=1", "-w", "/srv", "--expose", "80", "-u", "7"]
    docker("create", "--name", "one", *options, docker.image, "cat", "file")
    changes = [
        "ENV B=3 C=$A",
        'CMD ["echo", "said"]',
        "EXPOSE 90/udp",
        "LABEL m='2 3'",
        "VOLUME /v",
        "WORKDIR sub",
        "USER nobody",
        "ONBUILD RUN true",
    ]
    flags = [word for change in changes for word in ("--change", change)]
    docker("commit", *flags, "one", "made:changed")
    config = inspect(docker, "made:changed")["Config"]
    assert {"A=1", "B=3", "C=1"} <= set(config["Env"])
    assert "B=2" not in config["Env"]
    assert config["Cmd"] == ["echo", "said"]
    assert config["ExposedPorts"] == {"80/tcp": {}, "90/udp": {}}
    assert config["Labels"].items() >= {"l": "1", "m": "2 3"}.items()
    assert config["Volumes"] == {"/v": {}}
    assert config["WorkingDir"] == "/srv/sub"
    assert config["User"] == "nobody"
    assert config["OnBuild"] == ["RUN true"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("RUN true", "run is not a valid change command"),
        ("EXPOSE x", "invalid"),
        ("NOTHING", "NOTHING"),
    ],
)
def test_a_change_that_is_none_is_refused(docker: Docker, change: str, said: str) -> None:
    docker("create", "--name", "one", docker.image, "true")
    refused = docker.run("commit", "--change", change, "one", "made:never")
    assert refused.returncode == 1
    assert said in refused.stderr
    assert docker.run("inspect", "made:never").returncode == 1


def test_whom_a_container_ends_with_is_nothing_of_its_image(docker: Docker, engine: Any) -> None:
    import os

    from cellcrate_runtime.engine.ownership import OWNER_LABEL, start_time

    owner = f"{os.getpid()}:{start_time(os.getpid())}"
    docker("create", "--name", "owned", "-l", f"{OWNER_LABEL}={owner}", docker.image, "true")
    docker("commit", "owned", "made:owned")
    assert OWNER_LABEL not in (inspect(docker, "made:owned")["Config"]["Labels"] or {})


def test_events(docker: Docker) -> None:
    docker("create", "--name", "one", docker.image, "true")
    image = docker("commit", "-m", "said", "one", "made:one")
    # The command cuts moments to whole seconds.
    until = str(int(time.time()) + 1)
    options = ["--filter", "event=commit", "--since", "1h", "--until", until]
    events = docker("events", *options, "--format", "{{json .}}").splitlines()
    commit = json.loads(events[-1])
    assert commit["Actor"]["Attributes"]["imageID"] == image
    assert commit["Actor"]["Attributes"]["imageRef"] == "made:one"
    assert commit["Actor"]["Attributes"]["comment"] == "said"


def archive() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo("./srv/file")
        entry.size, entry.uid, entry.mtime = 7, 5, 1_000_000_000
        tar.addfile(entry, io.BytesIO(b"content"))
    return stream.getvalue()


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_an_archive_is_imported(docker: Docker, compress: Callable[[bytes], bytes]) -> None:
    said = docker.bytes(
        "import", "-c", "CMD /bin/x y", "-c", "ENV A=1", "-m", "so", "-", "made:import",
        input=compress(archive()),
    )  # fmt: skip
    image = inspect(docker, "made:import")
    assert said.decode().strip() == image["Id"]
    assert image["Config"]["Cmd"] == ["/bin/sh", "-c", "/bin/x y"]
    assert image["Config"]["Env"] == ["A=1"]
    assert image["Comment"] == "so"
    assert image["Parent"] == ""
    assert len(image["RootFS"]["Layers"]) == 1
    assert image["Size"] == 7
    docker("create", "--name", "files", "made:import")
    with tarfile.open(fileobj=io.BytesIO(docker.bytes("export", "files"))) as tar:
        entry = tar.getmember("srv/file")
        assert (entry.mtime, entry.size) == (1_000_000_000, 7)


def test_what_is_exported_can_be_imported_and_runs(docker: Docker, tmp_path: Path) -> None:
    docker("create", "--name", "files", docker.image, "true")
    exported = docker.bytes("export", "files")
    docker.bytes("import", "-", "made:again", input=exported)
    assert docker("run", "--rm", "made:again", "/bin/sh", "-c", "echo runs") == "runs"
    assert inspect(docker, "made:again")["Comment"] == "Imported from -"


@pytest.mark.parametrize(
    ("arguments", "content", "said"),
    [
        (("-", "made:bad"), b"no archive" * 1000, "not a tar archive"),
        (("-", "made:bad"), gzip.compress(archive())[:60], "not"),
        (("-", "made:bad"), bz2.compress(archive())[:60], "not"),
        (("-", "Made:bad"), archive(), "lower"),
        (("-c", "RUN x", "-", "made:bad"), archive(), "run is not a valid change command"),
        (("http://127.0.0.1:1/x.tar", "made:bad"), b"", "Fetch the file"),
    ],
)
def test_what_cannot_be_imported_leaves_nothing(
    docker: Docker, arguments: tuple[str, ...], content: bytes, said: str
) -> None:
    import subprocess

    refused = subprocess.run(
        [docker.program, "import", *arguments],
        env=docker.environment,
        input=content,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert refused.returncode == 1
    assert said in refused.stderr.decode(), refused.stderr
    assert docker("images", "-aq").split() == docker("images", "-q", docker.image).split()


def test_half_an_archive_of_a_client_that_left_is_no_image(engine: Any) -> None:
    """Also where it ends between two files, and so looks whole."""
    import socket

    whole_file = archive()[:1024]  # a header, and a block of content
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(engine.socket))
        head = "POST /images/create?fromSrc=-&repo=made&tag=half HTTP/1.1\r\nHost: x\r\n"
        head += f"Content-Length: {len(archive())}\r\n\r\n"
        connection.sendall(head.encode() + whole_file)
        time.sleep(0.2)
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        assert "made:half" not in [tag for i in engine.client.images.list() for tag in i.tags]
        time.sleep(0.1)


def test_docker_py_commits(engine: Any) -> None:
    container = engine.client.containers.create(engine.image, ["true"], name="py")
    try:
        image = container.commit("made", "py", conf={"Cmd": ["echo", "x"], "Env": ["N=1"]})
        assert image.tags == ["made:py"]
        config = image.attrs["Config"]
        assert config["Cmd"] == ["echo", "x"]
        assert "N=1" in config["Env"]
    finally:
        container.remove()
        engine.client.images.remove("made:py")
