"""config-linux.md, "Masked Paths" and "Readonly Paths"."""

from __future__ import annotations

import pytest

from conformance.box import Box


def test_a_masked_file_reads_as_nothing(box: Box) -> None:
    """Masked Paths: so that they cannot be read."""
    box.linux["maskedPaths"] = ["/etc/passwd", "/proc/version"]
    assert box.sh("cat /etc/passwd /proc/version") == ""


def test_a_masked_folder_is_empty(box: Box) -> None:
    """Masked Paths: a folder likewise."""
    box.linux["maskedPaths"] = ["/etc"]
    assert box.sh("ls -A /etc; touch /etc/file || echo refused") == "refused"


def test_a_masked_path_that_is_not_there_is_passed_over(box: Box) -> None:
    """Masked Paths and Readonly Paths are names that one kernel has, and another one has not."""
    box.linux["maskedPaths"] = ["/no/such/path"]
    box.linux["readonlyPaths"] = ["/no/such/path"]
    assert box.sh("ls /no || echo none") == "none"


def test_a_read_only_path_cannot_be_written(box: Box) -> None:
    """Readonly Paths: of a file system that can."""
    box.mount("/data", "bind", "bind")
    (box.scratch / "folder").mkdir()
    (box.scratch / "file").write_text("words\n")
    box.linux["readonlyPaths"] = ["/data/folder", "/data/file", "/proc/sys"]
    script = "cat /data/file; touch /data/new; touch /data/folder/new; echo > /data/file"
    done = box.run("sh", "-c", script)
    assert done.stdout == "words\n"
    assert done.stderr.count("Read-only file system") == 2
    assert (box.scratch / "new").exists()


@pytest.mark.parametrize("path", ["proc", "./etc/passwd"])
def test_a_masked_path_is_absolute(box: Box, path: str) -> None:
    """Masked Paths: must be absolute; a runtime that takes another one stays in the root."""
    box.linux["maskedPaths"] = [path]
    box.write("cat", "/etc/group")
    done = box.run()
    assert done.returncode != 0 or "staff" in done.stdout
