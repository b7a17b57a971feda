"""The mounts of this process, as the kernel lists them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cellcrate_runtime.linux import mount_table, mounts, namespaces
from oci.identities import in_child


def test_all_lines_are_read() -> None:
    found = list(mount_table.read())
    assert len(found) == len(Path("/proc/self/mountinfo").read_text().splitlines())
    (root,) = [each for each in found if each.point == "/"][-1:]
    opened = os.open("/", os.O_PATH)
    assert root.id == mounts.id_of(opened)
    os.close(opened)
    assert {each.type for each in mount_table.read(("proc",))} == {"proc"}


@pytest.mark.root
def test_paths_are_as_they_are(tmp_path: Path) -> None:
    place = tmp_path / "ein Platz\\ für alles"
    place.mkdir()

    def mounted() -> list[tuple[str, str]]:
        namespaces.unshare(namespaces.FLAGS["mount"])
        mounts.set_propagation("/", mounts.MS_PRIVATE | mounts.MS_REC)
        mounts.mount("", str(place), "tmpfs", 0)  # without a source, too
        return [(m.type, m.root) for m in mount_table.read() if m.point == str(place)]

    assert in_child(mounted) == [("tmpfs", "/")]
