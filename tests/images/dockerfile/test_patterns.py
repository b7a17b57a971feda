"""Patterns of paths, and files of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellcrate_runtime.images.dockerfile.errors import IgnoreFileError
from cellcrate_runtime.images.dockerfile.ignore import IgnoreFile
from cellcrate_runtime.images.dockerfile.patterns import PathMatcher, compile_pattern

pytestmark = pytest.mark.once


# The first half is of the table in Go's path/filepath/match_test.go.
@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("abc", "abc", True), ("*", "abc", True), ("*c", "abc", True), ("a*", "a", True),
        ("a*", "ab/c", False), ("a*/b", "abc/b", True), ("a*/b", "a/c/b", False),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f", True), ("a*b?c*x", "abxbbxdbxebxczzx", True),
        ("ab[c]", "abc", True), ("ab[b-d]", "abc", True), ("ab[e-g]", "abc", False),
        ("ab[^c]", "abc", False), ("ab[^e-g]", "abc", True), ("a\\*b", "a*b", True),
        ("a\\*b", "ab", False), ("a?b", "a☺b", True), ("a[^a]b", "a☺b", True),
        ("[a-☺]*", "é", True), ("a?b", "a/b", False), ("a*b", "a/b", False),
        ("[\\]a]", "]", True), ("[\\-x]", "-", True), ("[x\\-]", "z", False),
        ("a[^x]b", "a/b", False),
        ("**", "a/b/c", True), ("**/c", "a/b/c", True), ("**/c", "c", True),
        ("a/**", "a/b/c", True),
        ("a/**/c", "a/c", True), ("a/**/c", "a/b/b/c", True), ("**/*.go", "a/b.go", True),
        ("a**", "ab/c", True), ("**/x", "yx", False), ("a.b", "axb", False), ("a+b", "aab", False),
    ],
)  # fmt: skip
def test_patterns(pattern: str, path: str, matches: bool) -> None:
    assert bool(compile_pattern(pattern).fullmatch(path)) is matches


@pytest.mark.parametrize("pattern", ["[", "[^", "[^bc", "a[", "[]a]", "[-]", "[x-]", "[-x]", "a\\"])
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(ValueError, match="syntax error in pattern"):
        compile_pattern(pattern)


def test_a_folder_takes_along_what_is_in_it_and_exceptions_take_back() -> None:
    ignored = IgnoreFile("# comment\n/build/\n*.log\n!keep.log\n!build/keep\n docs/**/*.txt \n")
    assert ignored.ignores("build")
    assert ignored.ignores("build/a/b")
    assert not ignored.ignores("build/keep")
    assert not ignored.ignores("build/keep/this")
    assert ignored.ignores("a.log")
    assert not ignored.ignores("keep.log")
    assert not ignored.ignores("sub/a.log")
    assert ignored.ignores("docs/a.txt")
    assert ignored.ignores("docs/a/b/c.txt")
    assert ignored.has_exceptions


def test_the_last_pattern_that_matches_counts() -> None:
    matcher = PathMatcher(["*", "!a", "a/b"])
    assert matcher.matches("x")
    assert not matcher.matches("a")
    assert matcher.matches("a/b")
    assert not matcher.matches("a/c")


def test_a_wrong_line_is_told() -> None:
    with pytest.raises(IgnoreFileError, match=re.escape(".dockerignore, line 3: syntax error")):
        IgnoreFile("a\n\n[b\n")
    with pytest.raises(IgnoreFileError, match="illegal exclusion pattern"):
        IgnoreFile("!")


@given(st.text(st.sampled_from("ab/*?[]^-\\!# .\n")), st.text(st.sampled_from("ab/.")))
def test_any_text_is_a_file_of_patterns_or_refused(text: str, path: str) -> None:
    try:
        found = IgnoreFile(text)
    except IgnoreFileError:
        return
    assert found.ignores(path) in (True, False)
