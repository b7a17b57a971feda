"""Ids in attributes of files, as the kernel's headers lay them out."""

from __future__ import annotations

import struct

import pytest

from cellcrate_runtime.linux import owners
from cellcrate_runtime.linux.idmap import IDRange

pytestmark = pytest.mark.once

IDS = IDRange(0, 100_000, 65536)
NET_RAW = 1 << 13
EFFECTIVE = 1


def test_ids() -> None:
    assert owners.moved_id(0, IDS) == 100_000
    assert owners.moved_id(65535, IDS, "gid") == 165_535
    assert owners.moved_id(65536, IDS) == 65534  # the overflow id, in every kernel's default


def test_a_capability_gets_the_id_of_the_namespaces_root() -> None:
    value = struct.pack("<5I", 0x0200_0000 | EFFECTIVE, NET_RAW, 0, 1 << 6, 0)  # CAP_PERFMON, too
    assert owners.moved_capability(value, IDS) == struct.pack(
        "<6I", 0x0300_0000 | EFFECTIVE, NET_RAW, 0, 1 << 6, 0, 100_000
    )


def test_a_capability_of_the_first_revision_has_one_word_a_set() -> None:
    value = struct.pack("<3I", 0x0100_0000, NET_RAW, 1)
    expected = struct.pack("<6I", 0x0300_0000, NET_RAW, 1, 0, 0, 100_000)
    assert owners.moved_capability(value, IDS) == expected


@pytest.mark.parametrize(("root", "moved"), [(0, 100_000), (7, 100_007), (70_000, None)])
def test_a_capability_of_another_namespaces_root(root: int, moved: int | None) -> None:
    value = struct.pack("<6I", 0x0300_0000, NET_RAW, 0, 0, 0, root)
    expected = None if moved is None else struct.pack("<6I", 0x0300_0000, NET_RAW, 0, 0, 0, moved)
    assert owners.moved_capability(value, IDS) == expected


@pytest.mark.parametrize("value", [b"", b"\0\0\0\2", struct.pack("<5I", 0x0400_0000, 0, 0, 0, 0)])
def test_what_is_no_capability(value: bytes) -> None:
    with pytest.raises(ValueError, match="unknown form"):
        owners.moved_capability(value, IDS)


def test_an_access_control_list() -> None:
    nobody = 0xFFFF_FFFF

    def acl(*entries: tuple[int, int, int]) -> bytes:
        return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)

    owner, group, mask, others = (1, 7, nobody), (4, 5, nobody), (16, 7, nobody), (32, 0, nobody)
    value = acl(owner, (2, 6, 1000), group, (8, 4, 70_000), mask, others)
    expected = acl(owner, (2, 6, 101_000), group, (8, 4, 65534), mask, others)
    assert owners.moved_acl(value, IDS) == expected
    for wrong in (b"", value[:-1], b"\1" + value[1:]):
        with pytest.raises(ValueError, match="unknown form"):
            owners.moved_acl(wrong, IDS)
