"""Names are read as Docker reads them."""

from __future__ import annotations

import pytest

from cellcrate_runtime.images.errors import InvalidReferenceError
from cellcrate_runtime.images.references import parse

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("python", "docker.io/library/python:latest", "python:latest"),
        ("python:3.12-slim", "docker.io/library/python:3.12-slim", "python:3.12-slim"),
        ("cellcrate/base", "docker.io/cellcrate/base:latest", "cellcrate/base:latest"),
        ("docker.io/python", "docker.io/library/python:latest", "python:latest"),
        ("index.docker.io/library/python", "docker.io/library/python:latest", "python:latest"),
        ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("localhost:5000/x:1", "localhost:5000/x:1", "localhost:5000/x:1"),
        ("quay.io/a/b/c", "quay.io/a/b/c:latest", "quay.io/a/b/c:latest"),
        ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
        ("UPPER/x", "UPPER/x:latest", "UPPER/x:latest"),
        (f"x@{DIGEST}", f"docker.io/library/x@{DIGEST}", f"x@{DIGEST}"),
        (f"x:1@{DIGEST}", f"docker.io/library/x:1@{DIGEST}", f"x:1@{DIGEST}"),
        ("a__b.c-d--e", "docker.io/library/a__b.c-d--e:latest", "a__b.c-d--e:latest"),
    ],
)
def test_names_are_normalised(text: str, canonical: str, familiar: str) -> None:
    reference = parse(text).with_default_tag()
    assert reference.canonical == canonical
    assert reference.familiar == familiar


@pytest.mark.parametrize("text", ["python", "a/b:1", f"quay.io/x@{DIGEST}", "localhost:5000/x"])
def test_what_is_shown_can_be_read_again(text: str) -> None:
    reference = parse(text).with_default_tag()
    assert parse(reference.familiar) == reference
    assert parse(reference.canonical) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":1",
        "x:",
        "x:" + "t" * 129,
        "-x",
        "x..y",
        "x___y",
        "x/",
        "/x",
        "a//b",
        "../x",
        "x y",
        "x\n",
        "x@sha256:12",
        "x@sha256:" + "z" * 64,
        "x:.1",
        "café",
        "a/" * 130 + "b",
        "https://x/y",
    ],
)
def test_what_cannot_be_a_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidReferenceError):
        parse(text)


def test_capitals_are_named_as_the_reason() -> None:
    with pytest.raises(InvalidReferenceError, match="must be lowercase"):
        parse("Python")


def test_an_id_is_no_name() -> None:
    with pytest.raises(InvalidReferenceError, match="image id"):
        parse("ab" * 32)
