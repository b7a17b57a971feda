"""podman run with volumes, mounts and a root that cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_command.podman.client import Podman


@pytest.fixture
def volume(podman: Podman, tmp_path: Path) -> Iterator[Path]:
    """A folder with a file."""
    folder = tmp_path / "volume"
    folder.mkdir()
    (folder / "file").write_text("words\n")
    yield folder
    # What was given away to an id of the container is its owner's no more.
    podman.call("unshare", "rm", "-rf", str(folder))


def test_a_read_only_root(podman: Podman) -> None:
    script = "touch /file || touch /tmp/file && echo ended"
    assert podman.run("--read-only", "sh", "-c", script) == "ended\n"


def test_a_read_only_root_without_memory_to_write_to(podman: Podman) -> None:
    options = ["--read-only", "--read-only-tmpfs=false"]
    assert podman.run(*options, "sh", "-c", "touch /tmp/file || echo refused") == "refused\n"


def test_a_volume_is_written_to_and_read_from(podman: Podman, volume: Path) -> None:
    assert podman.run(f"--volume={volume}:/data", "sh", "-c", "cat /data/file; touch /data/new")
    assert (volume / "new").exists()


@pytest.mark.parametrize(
    "option", ["--volume={}:/data:ro", "--mount=type=bind,src={},dst=/data,ro=true"]
)
def test_a_read_only_volume(podman: Podman, volume: Path, option: str) -> None:
    script = "cat /data/file; touch /data/new || echo refused"
    assert podman.run(option.format(volume), "sh", "-c", script) == "words\nrefused\n"
    assert not (volume / "new").exists()


def test_a_volume_is_given_to_the_user(podman: Podman, volume: Path) -> None:
    script = "stat -c %u:%g /data/file; echo more >> /data/file"
    options = [f"--volume={volume}:/data:U", "--user=1000:50"]
    assert podman.run(*options, "sh", "-c", script) == "1000:50\n"


@pytest.mark.root
def test_a_volume_with_translated_ids(podman: Podman, volume: Path) -> None:
    mapping = ["--uidmap=0:100000:65536", "--gidmap=0:100000:65536"]
    options = [*mapping, f"--volume={volume}:/data:idmap"]
    script = "stat -c %u:%g /data/file; touch /data/new"
    assert podman.run(*options, "sh", "-c", script) == "0:0\n"
    assert (volume / "new").stat().st_uid == 0


def test_a_volume_below_what_is_written(podman: Podman, volume: Path) -> None:
    """``:O`` mounts an overlay, whose changes go with the container."""
    script = "echo more >> /data/file; cat /data/file"
    assert podman.run(f"--volume={volume}:/data:O", "sh", "-c", script) == "words\nmore\n"
    assert (volume / "file").read_text() == "words\n"


def test_a_named_volume_is_kept(podman: Podman) -> None:
    podman.run("--volume=v1:/data", "touch", "/data/file")
    assert podman.run("--volume=v1:/data", "ls", "/data") == "file\n"
    podman.do("volume", "rm", "v1")


@pytest.mark.parametrize(
    "option", ["--tmpfs=/data:size=64k,mode=700", "--mount=type=tmpfs,dst=/data,tmpfs-size=65536"]
)
def test_memory_to_write_to(podman: Podman, option: str) -> None:
    said = podman.run(option, "sh", "-c", "touch /data/file && grep ' /data ' /proc/mounts")
    assert said.startswith("tmpfs /data tmpfs")
    assert "size=64k" in said


def test_the_propagation_of_a_volume(podman: Podman, volume: Path) -> None:
    script = "grep ' /data ' /proc/self/mountinfo"
    assert "master:" not in podman.run(f"--volume={volume}:/data:private", "sh", "-c", script)
    assert podman.run(f"--volume={volume}:/data:rshared", "sh", "-c", script).count("shared:") == 1


def test_an_image_is_mounted(podman: Podman) -> None:
    said = podman.run(
        "--mount=type=image,src=localhost/programs,dst=/data", "cat", "/data/etc/group"
    )
    assert "staff:x:50:alice" in said


def test_shared_memory_has_the_size_that_was_asked_for(podman: Podman) -> None:
    assert "size=128k" in podman.run("--shm-size=128k", "grep", "/dev/shm", "/proc/mounts")


def test_files_are_copied_in_and_out(podman: Podman, running: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("words\n")
    podman.do("cp", str(tmp_path / "file"), f"{running}:/tmp/file")
    assert podman.do("exec", running, "cat", "/tmp/file") == "words\n"
    podman.do("cp", f"{running}:/etc/group", str(tmp_path / "group"))
    assert "staff" in (tmp_path / "group").read_text()
    assert "/tmp/file" in podman.do("diff", running)
