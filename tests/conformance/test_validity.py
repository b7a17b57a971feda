"""config.md, "Extensibility", "Valid values" and "Specification version"."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from conformance.box import Box


def test_unknown_properties_are_passed_over(box: Box) -> None:
    """Extensibility: unknown properties must be ignored."""
    document = box.document
    document["hooks"] = {}
    for place in ("process", "root", "linux", "hooks"):
        document[place]["org.example.unknown"] = {"any": ["thing"]}
    document["mounts"][0]["org.example.unknown"] = document["org.example.unknown"] = 5
    assert box.sh("echo ran") == "ran"


def test_versions_of_the_same_major_number(box: Box) -> None:
    """Specification version: an older configuration is one for later runtimes too."""
    for version in ("1.0.0", "1.0.1", "1.0.2"):
        box.document["ociVersion"] = version
        assert box.sh("echo ran") == "ran"


@pytest.mark.parametrize("version", ["nonsense", "1", "2.0.0", ""])
def test_a_version_that_cannot_be_is_refused(box: Box, version: str) -> None:
    """Specification version: in SemVer format, and of a major version that the runtime knows."""
    box.document["ociVersion"] = version
    box.refuse("true")


def test_what_is_no_configuration_is_refused(box: Box) -> None:
    """Configuration: an object of JSON with what is required."""
    for text in ("", "{", "[]", '"text"', "{}", "\x00"):
        (box.folder / "config.json").write_text(text)
        assert box.try_create()[0] != 0, text
        assert box.left() == []


_WRONG: list[tuple[str, dict[str, Any]]] = [
    ("top", {"hostname": 5}),
    ("top", {"mounts": {}}),
    ("top", {"annotations": {"key": 5}}),
    ("top", {"annotations": ["key"]}),
    ("process", {"args": "true"}),
    ("process", {"env": "PATH=/bin"}),
    ("process", {"terminal": "no"}),
    ("process", {"user": {"uid": "root", "gid": 0}}),
    ("root", {"readonly": "yes"}),
    ("root", {"path": 5}),
    ("linux", {"namespaces": "pid"}),
    ("linux", {"maskedPaths": "/etc"}),
    ("linux", {"readonlyPaths": [5]}),
    ("linux", {"sysctl": ["net.ipv4.ip_forward"]}),
    ("linux", {"devices": [{"path": "/dev/x", "type": "c", "major": "one", "minor": 1}]}),
    ("linux", {"devices": [{"path": 5, "type": "c", "major": 1, "minor": 3}]}),
    ("linux", {"resources": {"pids": {"limit": "few"}}}),
    ("linux", {"seccomp": {"defaultAction": 5}}),
]


def test_values_of_a_wrong_type_are_refused(box: Box) -> None:
    """Valid values: the runtime must generate an error."""
    right = copy.deepcopy(box.document)
    for place, wrong in _WRONG:
        box.document = copy.deepcopy(right)
        (box.document if place == "top" else box.document[place]).update(wrong)
        box.refuse()
