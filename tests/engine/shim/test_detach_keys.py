"""Recognising the keys that end an attached session."""

from __future__ import annotations

import pytest

from cellcrate_runtime.engine.shim.detach_keys import DetachKeys

KEYS = b"\x10\x11"


def test_what_comes_before_the_keys_is_passed_on() -> None:
    assert DetachKeys(KEYS).filter(b"ls\n\x10\x11never") == (b"ls\n", True)


def test_the_keys_may_come_one_by_one() -> None:
    keys = DetachKeys(KEYS)
    assert keys.filter(b"a\x10") == (b"a", False)
    assert keys.filter(b"\x11") == (b"", True)


def test_a_beginning_that_is_not_continued_is_passed_on() -> None:
    keys = DetachKeys(KEYS)
    assert keys.filter(b"\x10") == (b"", False)
    assert keys.filter(b"x") == (b"\x10x", False)


def test_a_repeated_beginning_is_not_lost() -> None:
    keys = DetachKeys(b"aab")
    assert keys.filter(b"a") == (b"", False)
    assert keys.filter(b"a") == (b"", False)
    assert keys.filter(b"a") == (b"a", False)
    assert keys.filter(b"b") == (b"", True)


def test_without_keys_everything_passes() -> None:
    assert DetachKeys(b"").filter(KEYS) == (KEYS, False)


@pytest.mark.parametrize("key", [b"q", b"\x1b"])
def test_a_single_key(key: bytes) -> None:
    assert DetachKeys(key).filter(b"a" + key) == (b"a", True)
