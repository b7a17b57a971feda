"""Where mounts cannot translate owners, root in a container is nobody outside all the same."""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import stat
import struct
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import pytest

from cellcrate_runtime import doctor
from cellcrate_runtime.images import ImageStore
from cellcrate_runtime.linux.idmap import container_range
from images.handmade import Entry

from .conftest import RunningEngine, eventually, make_home
from .test_isolation import output
from .unmappable import UnmappableEngine, add_layer

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="An ordinary user's containers are not remapped."),
]

PROGRAMS = [name for name in ("runc", "crun") if shutil.which(name)]
FIRST = container_range().outside
FOREVER = ["sleep", "1000"]
NET_RAW = 13
CAPABILITY = struct.pack("<5I", 0x0200_0001, 1 << NET_RAW, 0, 0, 0)  # cap_net_raw=ep
ELEVATED = {"user": "1000", "security_opt": ["no-new-privileges=false"]}
# Every file of the root file system: kind, mode, owners as seen inside, size, time and path. What
# the engine makes for each container is left out.
LIST_ALL = """
import os
made = ["/.", "/etc/.", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"]
root = os.stat("/").st_dev
for folder, folders, files in os.walk("/"):
    folders[:] = [n for n in folders if os.lstat(os.path.join(folder, n)).st_dev == root]
    for name in [".", *folders, *files]:
        path = os.path.join(folder, name)
        s = os.lstat(path)
        if path not in made:
            print(oct(s.st_mode), s.st_uid, s.st_gid, s.st_size, s.st_mtime_ns, path)
"""


@pytest.fixture(scope="module")
def module_engine(base_image: Path) -> Iterator[RunningEngine]:
    """An engine for all tests here."""
    engine = UnmappableEngine(make_home(base_image))
    try:
        yield engine
    finally:
        engine.close()


@pytest.fixture
def old_engine(base_image: Path) -> Iterator[UnmappableEngine]:
    """An engine that a test may stop, and start as on a new kernel."""
    engine = UnmappableEngine(make_home(base_image))
    try:
        yield engine
    finally:
        print(engine.log)
        engine.close()


def layer_of(container: Any) -> Path:
    """A container's writable layer."""
    container.reload()
    return Path(container.attrs["GraphDriver"]["Data"]["UpperDir"])


def uid_outside(container: Any) -> int:
    """As whom the host sees a container's first process."""
    container.reload()
    status = Path(f"/proc/{container.attrs['State']['Pid']}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("Uid:"))


def archive(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in entries:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def taken(container: Any, path: str) -> dict[str, tarfile.TarInfo]:
    """What `docker cp` packs."""
    packed = io.BytesIO(b"".join(container.get_archive(path)[0]))
    with tarfile.open(fileobj=packed) as tar:
        return {info.name: info for info in tar.getmembers()}


# -- who is who ----------------------------------------------------------------------------------


def test_it_says_so(engine: RunningEngine) -> None:
    info = engine.client.info()
    assert "name=userns,owners=shifted copies" in info["SecurityOptions"]
    status = dict(info["DriverStatus"])
    assert status["Translation of owners"] == "shifted copies"
    assert "no id-mapped mounts" in status["Because"]
    assert "owners of containers' files: shifted copies" in engine.log


@pytest.mark.parametrize("runtime", ["cellcrate", *PROGRAMS])
def test_root_inside_is_nobody_special_outside(engine: RunningEngine, runtime: str) -> None:
    container = engine.run(["sh", "-c", "cat /proc/self/uid_map; exec sleep 99"], runtime=runtime)
    assert uid_outside(container) == FIRST
    assert container.exec_run("id -u").output == b"0\n"
    mapping = [b"0", str(FIRST).encode(), b"65536"]
    eventually(lambda: container.logs().split() == mapping, "the log has the mapping")
    script = "echo x > /new; stat -c %u:%g / /etc/passwd /new /dev/shm /tmp /etc/hosts /root"
    seen = container.exec_run(["sh", "-c", script])
    assert seen.output.split() == [b"0:0"] * 7
    assert (layer_of(container) / "new").stat().st_uid == FIRST


def test_the_same_files_belong_to_the_same_users(engine: RunningEngine) -> None:
    """What is seen inside is the image, exactly, as a container sees it that is not remapped."""
    list_all = ["python3", "-c", LIST_ALL]
    remapped, not_remapped = (
        engine.run(list_all, userns_mode=mode, hostname="box") for mode in ("", "host")
    )
    assert remapped.wait()["StatusCode"] == 0, remapped.logs()
    found = remapped.logs().splitlines()
    assert len(found) > 1000
    not_remapped.wait()
    assert set(found) ^ set(not_remapped.logs().splitlines()) == set()


def test_userns_host_at_the_same_time(engine: RunningEngine) -> None:
    """It has the image's own layers, and is the host's root."""
    remapped, not_remapped = engine.run(FOREVER), engine.run(FOREVER, userns_mode="host")
    assert (uid_outside(remapped), uid_outside(not_remapped)) == (FIRST, 0)
    for container in (remapped, not_remapped):
        assert container.exec_run(["stat", "-c", "%u", "/etc/passwd"]).output == b"0\n"
    assert (layer_of(remapped).stat().st_uid, layer_of(not_remapped).stat().st_uid) == (FIRST, 0)


def test_what_must_not_be_remapped(engine: RunningEngine) -> None:
    for options in ({"privileged": True}, {"pid_mode": "host"}):
        assert output(engine, "cat /proc/self/uid_map", **options).split()[1] == "0"


def test_namespaces_of_another_container(engine: RunningEngine) -> None:
    """Who joins a container has its users, and so the owners of its files."""
    for mode, uid in (("", FIRST), ("host", 0)):
        first = engine.run(FOREVER, userns_mode=mode)
        second = engine.run(FOREVER, network_mode=f"container:{first.id}")
        third = engine.run(FOREVER, network_mode=f"container:{second.id}")
        for container in (second, third):
            assert uid_outside(container) == layer_of(container).stat().st_uid == uid
            assert container.exec_run(["stat", "-c", "%u", "/etc/passwd"]).output == b"0\n"


# -- what programs may ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image(module_engine: RunningEngine) -> str:
    """An image with a set-user-id program, and one with a capability."""
    program = Path(shutil.which("cat") or "").read_bytes()
    value = CAPABILITY.decode("utf-8", "surrogateescape")
    add_layer(
        ImageStore(module_engine.paths.images),
        "elevated",
        Entry("bin/setuid-cat", program, mode=0o4755),
        Entry("bin/setuid-daemon-cat", program, mode=0o6755, uid=1, gid=1),
        Entry("bin/capable-cat", program, mode=0o755, xattrs=(("security.capability", value),)),
        Entry("far", b"x", mode=0o644, uid=70_000),
    )
    return "elevated"


@pytest.fixture
def elevated(engine: RunningEngine, image: str) -> Iterator[RunningEngine]:
    """An engine whose containers are of that image."""
    engine.image = image
    yield engine
    del engine.image


@pytest.mark.parametrize("runtime", ["cellcrate", *PROGRAMS])
def test_programs_with_more_rights_than_their_users(elevated: RunningEngine, runtime: str) -> None:
    def status(program: str) -> dict[str, str]:
        lines = output(elevated, f"{program} /proc/self/status", runtime=runtime, **ELEVATED)
        return dict(line.split(":\t", 1) for line in lines.splitlines() if ":\t" in line)

    assert status("cat")["Uid"].split()[1] == "1000"
    assert int(status("cat")["CapEff"], 16) == 0
    assert status("setuid-cat")["Uid"].split()[1] == "0"
    daemon = status("setuid-daemon-cat")
    assert (daemon["Uid"].split()[1], daemon["Gid"].split()[1]) == ("1", "1")
    capable = status("capable-cat")
    assert capable["Uid"].split()[1] == "1000"
    assert int(capable["CapEff"], 16) == 1 << NET_RAW


def test_the_capability_is_seen_and_kept_inside(elevated: RunningEngine) -> None:
    """Also when the file has been copied to the writable layer."""
    script = (
        "import os; name = 'security.capability'\n"
        "def show(path): print(os.getxattr(path, name).hex())\n"
        "show('/bin/capable-cat'); os.utime('/bin/capable-cat'); show('/bin/capable-cat');"
        "os.setxattr('/bin/setuid-cat', name, os.getxattr('/bin/capable-cat', name));"
        "show('/bin/setuid-cat')"
    )
    container = elevated.run(["python3", "-c", script], cap_add=["SETFCAP"])
    assert container.wait()["StatusCode"] == 0, container.logs()
    assert container.logs().decode().split() == [CAPABILITY.hex()] * 3


def test_an_owner_beyond_the_containers_ids_is_nobody(elevated: RunningEngine) -> None:
    script = "stat -c %u /far; cat /far; chown 0 /far 2>/dev/null || echo refused"
    assert output(elevated, script).split() == ["65534", "xrefused"]
    assert "far: the ids of the owners are beyond those of a container" in elevated.log


# -- files from outside --------------------------------------------------------------------------


@pytest.mark.parametrize("runs", [True, False])
def test_docker_cp(engine: RunningEngine, runs: bool) -> None:
    container = engine.client.containers.create(engine.image, FOREVER)
    if runs:
        container.start()
    his, root_s = tarfile.TarInfo("his"), tarfile.TarInfo("roots")
    his.uid, his.gid, his.mode = 1000, 1001, 0o4711
    root_s.mode = 0o600
    assert container.put_archive("/tmp", archive((his, b"content"), (root_s, b"")))
    found = taken(container, "/tmp")
    assert (found["tmp/his"].uid, found["tmp/his"].gid) == (1000, 1001)
    assert found["tmp/his"].mode == 0o4711
    assert (found["tmp/roots"].uid, found["tmp"].uid) == (0, 0)
    assert taken(container, "/etc/passwd")["passwd"].uid == 0
    on_disk = (layer_of(container) / "tmp" / "his").stat()
    assert (on_disk.st_uid, on_disk.st_gid) == (FIRST + 1000, FIRST + 1001)
    assert stat.S_IMODE(on_disk.st_mode) == 0o4711
    if not runs:
        container.start()
    assert container.exec_run(["stat", "-c", "%u:%g %a", "/tmp/his"]).output == b"1000:1001 4711\n"


@pytest.mark.parametrize("runs", [True, False])
def test_docker_diff_and_export(engine: RunningEngine, runs: bool) -> None:
    script = "touch /new; rm /etc/passwd; chown 1000 /new; chmod 711 /root; exec sleep 1000"
    container = engine.run(["sh", "-c", f"{script} & sleep 0.1; wait"])
    container.exec_run(["sh", "-c", "until [ $(stat -c %a /root) = 711 ]; do sleep 0.01; done"])
    if not runs:
        container.kill()
        container.wait()
    assert {(change["Path"], change["Kind"]) for change in container.diff()} == {
        ("/new", 1),
        ("/root", 0),
        ("/etc", 0),
        ("/etc/passwd", 2),
    }
    exported = io.BytesIO(b"".join(container.export()))
    with tarfile.open(fileobj=exported) as tar:
        owners = {info.name: (info.uid, info.gid) for info in tar.getmembers()}
    assert owners["new"] == (1000, 0)
    assert "etc/passwd" not in owners
    assert {uid for uid, _ in owners.values()} == {0, 1000}


def test_files_that_the_engine_makes(engine: RunningEngine) -> None:
    """/etc/hosts and such, and the folders of volumes, are of the container's root."""
    script = (
        "stat -c %u:%g /etc/hosts /etc/hostname /etc/resolv.conf /data;"
        "echo 10.0.0.1 x >> /etc/hosts; echo x > /data/file; stat -c %u /data/file"
    )
    container = engine.run(["sh", "-c", script], volumes=["/data"])
    for _ in range(2):  # they are there when it is started again
        assert container.wait()["StatusCode"] == 0, container.logs()
        container.start()
    container.wait()
    assert container.logs().split() == [*[b"0:0"] * 4, b"0"] * 3
    assert container.logs(stderr=True, stdout=False) == b""


@pytest.mark.parametrize("runtime", ["cellcrate", *PROGRAMS])
def test_a_bind_mount_that_can_be_translated(
    engine: RunningEngine, runtime: str, tmp_path: Path
) -> None:
    """The home is on an old file system, as it were, and this folder is not."""
    os.chown(tmp_path, 1000, 1000)
    script = "stat -c %u /data; touch /data/new; chown 1001 /data/new"
    assert output(engine, script, runtime=runtime, volumes=[f"{tmp_path}:/data"]) == "1000"
    assert (tmp_path / "new").stat().st_uid == 1001


@pytest.mark.parametrize("runtime", ["cellcrate", *PROGRAMS])
def test_a_bind_mount_that_cannot(engine: RunningEngine, runtime: str) -> None:
    """It works as with Docker's userns-remap, and the user is told what that means."""
    source = engine.paths.data.parent / f"source-{runtime}"
    source.mkdir()
    (source / "file").write_text("content\n")
    api = engine.client.api
    script = "stat -c %u /data/file; cat /data/file; touch /data/new 2>/dev/null || echo refused"
    created = api.create_container(
        engine.image,
        ["sh", "-c", script],
        host_config=api.create_host_config(binds=[f"{source}:/data"], runtime=runtime),
    )
    (warning,) = created["Warnings"]
    assert f"files in {source} cannot be translated" in warning
    assert "--userns host" in warning
    container = engine.client.containers.get(created["Id"])
    container.start()
    assert container.wait()["StatusCode"] == 0, container.logs()
    assert container.logs().split() == [b"65534", b"content", b"refused"]
    # With --userns host there is nothing to warn of.
    options = api.create_host_config(binds=[f"{source}:/data"], userns_mode="host")
    created = api.create_container(engine.image, ["true"], host_config=options)
    assert created["Warnings"] == []


def test_a_volume_of_a_container_that_does_not_run(engine: RunningEngine, tmp_path: Path) -> None:
    os.chown(tmp_path, 1000, 1000)
    (tmp_path / "file").write_text("x")
    container = engine.client.containers.create(
        engine.image, ["true"], volumes=[f"{tmp_path}:/made/data"]
    )
    found = taken(container, "/made/data")
    assert (found["data"].uid, found["data/file"].uid) == (1000, 0)
    assert container.put_archive("/made/data", archive((tarfile.TarInfo("put"), b"")))
    assert (tmp_path / "put").stat().st_uid == 0
    assert (layer_of(container) / "made").stat().st_uid == FIRST


# -- how copies come and go ----------------------------------------------------------------------


def test_the_engine_answers_while_copies_are_made(old_engine: UnmappableEngine) -> None:
    """Several containers start at once; here somebody else is making the copies, for long."""
    engine = old_engine
    made = [engine.client.containers.create(engine.image, FOREVER) for _ in range(3)]
    with open(engine.paths.images / "shifted.lock", "w") as lock, ThreadPoolExecutor() as threads:
        fcntl.flock(lock, fcntl.LOCK_EX)
        starting = [threads.submit(container.start) for container in made]
        for _ in range(20):
            assert engine.client.ping()
            assert len(engine.client.containers.list(all=True)) == 3
        assert not any(each.done() for each in starting)
        fcntl.flock(lock, fcntl.LOCK_UN)
        for each in starting:
            each.result()
    assert {uid_outside(container) for container in made} == {FIRST}
    assert engine.log.count("copied layer") == len(os.listdir(engine.paths.images / "layers"))


def test_nothing_is_left_of_an_image(old_engine: UnmappableEngine) -> None:
    engine = old_engine
    plain = engine.client.df()["LayersSize"]
    container = engine.run(["true"])
    container.wait()
    assert engine.client.df()["LayersSize"] == 2 * plain
    container.remove()
    engine.client.images.remove(engine.image)
    assert os.listdir(engine.paths.images / "layers") == []


def test_a_first_start_that_is_killed(old_engine: UnmappableEngine) -> None:
    """The engine dies while copies are made; the next one makes them."""
    engine = old_engine
    container = engine.client.containers.create(engine.image, FOREVER)
    with open(engine.paths.images / "shifted.lock", "w") as lock, ThreadPoolExecutor() as threads:
        fcntl.flock(lock, fcntl.LOCK_EX)
        starting = threads.submit(container.start)
        engine.client.ping()
        engine.kill()
        assert starting.exception() is not None  # the connection was cut
    engine.start()
    container = engine.client.containers.get(container.id)
    container.start()
    assert uid_outside(container) == FIRST


# -- another machine, another way ----------------------------------------------------------------


def test_a_container_outlives_the_way_that_it_was_made_in(old_engine: UnmappableEngine) -> None:
    """A newer kernel can translate owners; the container's files are shifted all the same."""
    engine = old_engine
    made = engine.run(["sh", "-c", "chown 1000 / && touch /mine && exec sleep 1000"])
    made.exec_run(["sh", "-c", "until [ -e /mine ]; do sleep 0.01; done"])
    made.kill()
    engine.stop()
    engine.old = False
    engine.start()
    assert dict(engine.client.info()["DriverStatus"]) == {
        "Translation of owners": "id-mapped mounts"
    }
    found = engine.client.containers.get(made.id)
    assert taken(found, "/mine")["mine"].uid == 0
    found.start()
    assert uid_outside(found) == FIRST
    seen = found.exec_run(["stat", "-c", "%u", "/", "/mine", "/etc/passwd"])
    assert seen.output.split() == [b"1000", b"0", b"0"]
    new = engine.run(FOREVER)
    assert (uid_outside(new), layer_of(new).stat().st_uid) == (FIRST, 0)


def test_a_container_whose_files_nothing_can_translate_any_more(
    old_engine: UnmappableEngine,
) -> None:
    engine = old_engine
    engine.stop()
    engine.old = False
    engine.start()
    made = engine.run(["sh", "-c", "echo content > /mine"])
    made.wait()
    engine.stop()
    engine.old = True
    engine.start()
    container = engine.client.containers.get(made.id)
    with pytest.raises(
        docker.errors.APIError, match="those that it sees itself, which cannot be used any more"
    ):
        container.start()
    assert taken(container, "/mine")["mine"].uid == 0  # which the message promises


def test_the_doctor_says_it(module_engine: RunningEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(module_engine, UnmappableEngine)
    monkeypatch.setenv("CELLCRATE_HOME", str(module_engine.paths.data.parent))
    finding = module_engine.namespace.run(doctor.examine).find("id-mapped mounts")
    assert finding is not None
    assert finding.state == "limited"
    assert "every image is copied once, with shifted owners" in finding.reason
    outside = doctor.examine().find("id-mapped mounts")
    assert outside is not None
    assert outside.state == "ok"
