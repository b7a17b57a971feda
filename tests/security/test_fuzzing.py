"""Documents, names, archives and requests with something wrong in them: refused, or served.

The examples are hypothesis's choice, and the same ones at every run.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellcrate_runtime.images import ImageError, ImageStore
from cellcrate_runtime.images.errors import InvalidReferenceError
from cellcrate_runtime.images.references import parse
from cellcrate_runtime.images.unpack import unpack_layer
from cellcrate_runtime.oci.container import create
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.spec import InvalidSpecError, Spec, decode, encode
from engine.conftest import RunningEngine, eventually
from images.handmade import Entry, digest, make_archive
from oci.identities import Identity

from .mutations import few, one_thing_wrong

# -- config.json -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def maker(ordinary_uid: int, base: Path) -> Identity:
    """The way to make containers that this user uses most."""
    return (
        Identity("mapped", 0, base)
        if os.getuid() == 0
        else Identity("rootless", ordinary_uid, base)
    )


def config(identity: Identity) -> Any:
    """A valid config.json, with something in most of its members."""
    spec = identity.spec("true", oom_score_adj=500, no_new_privileges=True)
    document = json.loads(encode(spec))
    document["process"]["user"] = {"uid": 0, "gid": 0, "umask": 18, "additionalGids": [0, 5]}
    document["process"]["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
    document["process"]["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 5}
    document["mounts"].append(
        {"destination": "/data/t", "type": "tmpfs", "source": "t", "options": ["size=1m", "ro"]}
    )
    document["linux"]["devices"] = [
        {"path": "/dev/full", "type": "c", "major": 1, "minor": 7, "fileMode": 438, "uid": 0}
    ]
    document["linux"]["rootfsPropagation"] = "rprivate"
    document["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "80"}
    document["annotations"] = {"org.example": "x"}
    return document


def test_the_config_that_is_mutated_runs(maker: Identity) -> None:
    assert maker.run(decode(json.dumps(config(maker)).encode())).status == 0


def test_a_config_with_one_thing_wrong(maker: Identity) -> None:
    """It is refused, or runs; either way no process and no descriptor is left."""

    @few(60)
    @given(one_thing_wrong(config(maker)))
    def attempt(document: Any) -> None:
        try:
            spec = decode(json.dumps(document).encode())
        except InvalidSpecError:
            return
        assert maker.in_shim(lambda root: _try(spec, root)) == []

    attempt()


def _try(spec: Spec, root: str) -> list[str]:
    """Make and run a container if it can be; what is left of it."""
    before = set(os.listdir("/proc/self/fd"))
    with contextlib.suppress(OCIError):
        process = create(spec, rootfs=root, stdio=None, cgroup=None)
        try:
            process.start()
        except OCIError:
            process.abort()
        else:
            os.waitpid(process.pid, 0)
            os.close(process.pidfd)
        if process.console is not None:
            os.close(process.console)
    left = [f"descriptor {name}" for name in set(os.listdir("/proc/self/fd")) - before]
    with contextlib.suppress(ChildProcessError):
        left.append(f"process {os.waitpid(-1, os.WNOHANG)}")
    return left


# -- names and archives ----------------------------------------------------------------------------

NAMES = st.text(alphabet="aZ0/:@._-[]é \n\0%", max_size=24) | st.text(max_size=300)


@few(300)
@given(NAMES)
def test_a_name_of_an_image(text: str) -> None:
    """It is refused with a reason, or means what it says in full."""
    try:
        reference = parse(text)
    except InvalidReferenceError:
        return
    assert parse(reference.canonical) == reference
    assert parse(reference.familiar) == reference
    assert ".." not in reference.path.split("/")


def archive_of_an_image() -> bytes:
    """What `docker save` writes, made by hand."""
    layer = make_archive([Entry("file", b"content")])
    settings = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["true"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        }
    ).encode()
    manifest = [{"Config": "config.json", "RepoTags": ["x:1"], "Layers": ["layer.tar"]}]
    files = [("layer.tar", layer), ("config.json", settings)]
    files.append(("manifest.json", json.dumps(manifest).encode()))
    return make_archive([Entry(name, content) for name, content in files])


SPOILED = st.tuples(
    st.integers(0, len(archive_of_an_image()) - 1),
    st.binary(min_size=1, max_size=40),
    st.booleans(),
)


def test_an_archive_with_one_thing_wrong(tmp_path: Path) -> None:
    """All its images are taken in, or nothing."""
    store = ImageStore(tmp_path / "store")
    good = archive_of_an_image()

    @few(60)
    @given(SPOILED)
    def attempt(spoiled: tuple[int, bytes, bool]) -> None:
        place, other, cut = spoiled
        archive = good[:place] if cut else good[:place] + other + good[place + len(other) :]
        try:
            store.load(io.BytesIO(archive))
        except ImageError:
            assert not store.images()
        for image in store.images():
            store.remove(image.id, force=True)
        assert not os.listdir(store.root / "layers")

    attempt()
    assert sorted(os.listdir(tmp_path)) == ["store"]


PARTS = st.lists(
    st.sampled_from(["a", "b", "..", ".", "", ".wh.a", ".wh...", ".wh..wh..opq", "link"]),
    min_size=1,
    max_size=4,
).map("/".join)
ENTRIES = st.builds(
    Entry,
    name=PARTS,
    content=st.just(b"x"),
    type=st.sampled_from(
        [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]
    ),
    linkname=PARTS | st.sampled_from(["/", "../../outside", "/etc", "/proc/self/root"]),
    mode=st.sampled_from([0o755, 0o4711, 0o1777]),
)


def test_a_layer_of_any_entries(tmp_path: Path) -> None:
    """Nothing outside of its folder comes, goes or changes."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_bytes(b"precious")
    before = [(path, path.lstat()) for path in (outside, outside / "a")]

    @few(60)
    @given(st.lists(ENTRIES, max_size=6))
    def attempt(entries: list[Entry]) -> None:
        target = tmp_path / "layer"
        target.mkdir()
        with contextlib.suppress(ImageError):
            unpack_layer(io.BytesIO(make_archive(entries)), target)
        shutil.rmtree(target)
        assert os.listdir(tmp_path) == ["outside"]
        assert [(path, path.lstat()) for path, _ in before] == before

    attempt()


# -- requests --------------------------------------------------------------------------------------

REQUEST: dict[str, Any] = {
    "Image": RunningEngine.image,
    "Cmd": ["true"],
    "Entrypoint": [],
    "Env": ["A=1"],
    "WorkingDir": "/tmp",
    "User": "1000:1000",
    "Hostname": "box",
    "Domainname": "example",
    "Labels": {"a": "b"},
    "ExposedPorts": {"80/tcp": {}},
    "Volumes": {"/data": {}},
    "StopSignal": "SIGTERM",
    "StopTimeout": 3,
    "Tty": False,
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**9, "Retries": 2},
    "HostConfig": {
        "Binds": ["/usr:/x:ro"],
        "Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 4096}}],
        "Tmpfs": {"/u": "size=1m"},
        "CapAdd": ["KILL"],
        "CapDrop": ["CHOWN"],
        "SecurityOpt": ["no-new-privileges"],
        "Devices": [{"PathOnHost": "/dev/full", "PathInContainer": "/dev/y"}],
        "DeviceCgroupRules": [],
        "NetworkMode": "none",
        "IpcMode": "private",
        "PidMode": "",
        "UsernsMode": "",
        "ExtraHosts": ["db:10.0.0.1"],
        "Dns": ["9.9.9.9"],
        "Sysctls": {"net.ipv4.ip_unprivileged_port_start": "80"},
        "Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}],
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 1},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        "OomScoreAdj": 100,
        "ShmSize": 1 << 20,
        "ReadonlyRootfs": True,
        "MaskedPaths": ["/proc/keys"],
        "ConsoleSize": [24, 80],
        "GroupAdd": ["5"],
        "Annotations": {"x": "y"},
    },
}


def test_a_request_with_one_thing_wrong(engine: RunningEngine) -> None:
    """It is answered as the client's mistake, or a container is created; nothing else."""

    @few(150)
    @given(one_thing_wrong(REQUEST))
    def attempt(body: Any) -> None:
        answer = engine.request("POST", "/v1.47/containers/create", json.dumps(body).encode())
        assert answer.status in (201, 400, 404, 409, 501), (answer.status, answer.body, body)
        if answer.status == 201:
            name = json.loads(answer.body)["Id"]
            assert engine.request("DELETE", f"/v1.47/containers/{name}").status == 204
        else:
            assert answer.message
        assert engine.containers() == []

    attempt()
    eventually(lambda: engine.leftovers_of_containers() == [], "their files are deleted")
    assert "Traceback" not in engine.log


@pytest.mark.parametrize("path", ["containers/create?name=", "containers/", "images/"])
def test_an_address_of_anything(engine: RunningEngine, path: str) -> None:
    @few(40)
    @given(NAMES)
    def attempt(text: str) -> None:
        tail = "" if path.endswith("=") else "/json"
        method = "POST" if path.endswith("=") else "GET"
        request = json.dumps({"Image": "nowhere:1"}).encode() if method == "POST" else b""
        name = quote(text.encode("utf-8", "surrogatepass"), safe="")
        answer = engine.request(method, f"/v1.47/{path}{name}{tail}", request)
        assert 200 <= answer.status < 500, (answer.status, answer.body, text)

    attempt()
