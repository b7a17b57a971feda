"""config.md, "Extensibility", "Valid values" and "Specification version"."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.box import Box


@pytest.mark.parametrize("place", ["top", "process", "root", "linux", "mounts", "hooks"])
def test_an_unknown_property_is_passed_over(box: Box, place: str) -> None:
    """Extensibility: unknown properties must be ignored."""
    box.document["hooks"] = {}
    found = box.document if place == "top" else box.document[place]
    (found[0] if isinstance(found, list) else found)["org.example.unknown"] = {"any": ["thing"]}
    assert box.sh("echo ran") == "ran"


@pytest.mark.parametrize("version", ["1.0.0", "1.0.1", "1.0.2"])
def test_a_version_of_the_same_major_number(box: Box, version: str) -> None:
    """Specification version: an older configuration is one for later runtimes too."""
    box.document["ociVersion"] = version
    assert box.sh("echo ran") == "ran"


@pytest.mark.parametrize("version", ["nonsense", "1", "2.0.0", ""])
def test_a_version_that_cannot_be_is_refused(box: Box, version: str) -> None:
    """Specification version: in SemVer format, and of a major version that the runtime knows."""
    box.document["ociVersion"] = version
    box.refuse("true")


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', "{}", "\x00"])
def test_what_is_no_configuration_is_refused(box: Box, text: str) -> None:
    """Configuration: an object of JSON with what is required."""
    (box.folder / "config.json").write_text(text)
    created = box.runtime.call("create", f"--bundle={box.folder}", box.id)
    assert created.returncode != 0
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


@pytest.mark.parametrize(("place", "wrong"), _WRONG)
def test_a_value_of_a_wrong_type_is_refused(box: Box, place: str, wrong: dict[str, Any]) -> None:
    """Valid values: the runtime must generate an error."""
    (box.document if place == "top" else box.document[place]).update(wrong)
    box.refuse()
