"""`docker cp` in both directions, `docker diff` and `docker export`."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(params=["running", "stopped"])
def container(request: pytest.FixtureRequest, docker: Any, box: Any) -> str:
    """A container with some files, that runs or does not."""
    name = box()
    script = (
        "mkdir -p /data/sub && echo one > /data/one && echo two > /data/sub/two"
        " && ln -s one /data/link && ln -s sub /data/folder && chmod 640 /data/one"
        " && chown 12:34 /data/one"
    )
    docker("exec", name, "sh", "-c", script)
    if request.param == "stopped":
        docker("kill", name)
    return str(name)


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name.rstrip("/"): member for member in tar}


def test_a_file_out(docker: Any, container: str, tmp_path: Path) -> None:
    docker("cp", f"{container}:/data/one", f"{tmp_path}/copy")
    assert (tmp_path / "copy").read_text() == "one\n"
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o640
    docker("cp", f"{container}:/data/one", f"{tmp_path}/")
    assert (tmp_path / "one").read_text() == "one\n"


def test_a_folder_out(docker: Any, container: str, tmp_path: Path) -> None:
    docker("cp", f"{container}:/data", f"{tmp_path}/new")
    assert (tmp_path / "new" / "sub" / "two").read_text() == "two\n"
    assert os.readlink(tmp_path / "new" / "link") == "one"
    (tmp_path / "there").mkdir()
    docker("cp", f"{container}:/data/.", f"{tmp_path}/there")
    assert (tmp_path / "there" / "one").read_text() == "one\n"


def test_a_link_out_as_itself_and_followed(docker: Any, container: str, tmp_path: Path) -> None:
    docker("cp", f"{container}:/data/link", f"{tmp_path}/link")
    assert os.readlink(tmp_path / "link") == "one"
    docker("cp", "-L", f"{container}:/data/link", f"{tmp_path}/followed")
    assert (tmp_path / "followed").read_text() == "one\n"


def test_out_to_a_stream(docker: Any, container: str) -> None:
    found = members(docker.bytes("cp", f"{container}:/data", "-"))
    assert set(found) == {
        "data",
        "data/one",
        "data/sub",
        "data/sub/two",
        "data/link",
        "data/folder",
    }
    assert (found["data/one"].uid, found["data/one"].gid) == (12, 34)


def test_in(docker: Any, container: str, tmp_path: Path) -> None:
    (tmp_path / "tree" / "below").mkdir(parents=True)
    (tmp_path / "tree" / "below" / "file").write_text("from the host\n")
    (tmp_path / "single").write_text("single\n")
    docker("cp", str(tmp_path / "single"), f"{container}:/data/renamed")
    docker("cp", str(tmp_path / "single"), f"{container}:/data/folder/")
    docker("cp", str(tmp_path / "tree"), f"{container}:/data")
    found = members(docker.bytes("cp", f"{container}:/data", "-"))
    assert {"data/renamed", "data/sub/single", "data/tree/below/file"} <= set(found)
    # As with Docker, the numbers of the owner stay the same, whomever they mean in there.
    assert (found["data/renamed"].uid, found["data/renamed"].gid) == (os.getuid(), os.getgid())


def test_in_from_a_stream_with_owners(docker: Any, container: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("mine")
        member.uid, member.gid, member.size = 56, 78, 5
        tar.addfile(member, io.BytesIO(b"mine\n"))
    docker.bytes("cp", "-a", "-", f"{container}:/data", input=buffer.getvalue())
    found = members(docker.bytes("cp", f"{container}:/data/mine", "-"))
    assert (found["mine"].uid, found["mine"].gid) == (56, 78)


def test_a_large_file_both_ways(docker: Any, container: str, tmp_path: Path) -> None:
    content = os.urandom(1 << 20) * 40
    (tmp_path / "large").write_bytes(content)
    docker("cp", str(tmp_path / "large"), f"{container}:/data/large")
    docker("cp", f"{container}:/data/large", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content


def test_what_is_not_there(docker: Any, container: str, tmp_path: Path) -> None:
    out = docker.run("cp", f"{container}:/data/missing", str(tmp_path))
    assert out.returncode == 1
    assert "/data/missing" in out.stderr
    (tmp_path / "file").write_text("x")
    into = docker.run("cp", str(tmp_path / "file"), f"{container}:/data/missing/file")
    assert into.returncode == 1
    over = docker.run("cp", str(tmp_path), f"{container}:/data/one")
    assert over.returncode == 1
    assert docker.run("cp", f"{container}:/data/one", "/no/such/folder/at/all").returncode == 1


def test_links_lead_nowhere_outside_the_container(docker: Any, box: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host")
    name = box()
    docker("exec", name, "ln", "-s", str(tmp_path), "/escape")
    out = docker.run("cp", "-L", f"{name}:/escape/secret", str(tmp_path / "stolen"))
    assert out.returncode == 1
    assert not (tmp_path / "stolen").exists()
    docker.run("cp", str(tmp_path / "secret"), f"{name}:/escape/planted")
    assert not (tmp_path / "planted").exists()


def test_volumes_are_reached(docker: Any, box: Any, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    name = box("-v", f"{tmp_path}/host:/volume", "--tmpfs", "/scratch")
    (tmp_path / "file").write_text("content")
    docker("cp", str(tmp_path / "file"), f"{name}:/volume/file")
    assert (tmp_path / "host" / "file").read_text() == "content"
    docker("cp", str(tmp_path / "file"), f"{name}:/scratch/file")
    assert docker("exec", name, "cat", "/scratch/file") == "content"


def test_a_container_never_started_has_files(docker: Any, tmp_path: Path) -> None:
    docker("create", "--name", "fresh", docker.image, "cat", "/given")
    (tmp_path / "file").write_text("before the start\n")
    docker("cp", str(tmp_path / "file"), "fresh:/given")
    assert docker("start", "-a", "fresh") == "before the start"


def test_diff(docker: Any, container: str) -> None:
    before = docker("diff", container).splitlines()
    assert {"A /data", "A /data/one", "A /data/sub/two"} <= set(before)
    assert not any(line.endswith(("/proc", "/dev", "/sys")) for line in before)


def test_diff_of_what_was_changed_and_deleted(docker: Any, box: Any) -> None:
    name = box()
    assert docker("diff", name) == ""
    docker("exec", name, "sh", "-c", "rm /etc/passwd; echo x >> /etc/group")
    assert set(docker("diff", name).splitlines()) == {"C /etc", "D /etc/passwd", "C /etc/group"}


def test_export(docker: Any, container: str) -> None:
    found = members(docker.bytes("export", container))
    assert found["data/one"].size == 4
    assert "etc/passwd" in found
    assert not any(name.startswith(("proc/", "sys/")) for name in found)
