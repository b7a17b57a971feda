"""What the runtime says that it knows is what it takes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from cellcrate_runtime.oci import mount_options
from cellcrate_runtime.oci.example import example
from cellcrate_runtime.oci.features import document
from cellcrate_runtime.oci.spec import Capabilities, Linux, MemoryPolicy, decode, encode
from cellcrate_runtime.oci.validate import validate
from cellcrate_runtime.oci.validate_process import process_warnings

FEATURES: Any = document()


def test_it_is_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(FEATURES)) == FEATURES


@pytest.mark.parametrize("member", ["ociVersionMin", "ociVersionMax"])
def test_versions(member: str) -> None:
    spec = example()
    spec.oci_version = FEATURES[member]
    validate(spec)


def test_hooks() -> None:
    names = ["prestart", "createRuntime", "createContainer", "startContainer"]
    assert FEATURES["hooks"] == [*names, "poststart", "poststop"]
    config = msgspec.json.decode(encode(example()))
    config["hooks"] = {name: [{"path": f"/{name}"}] for name in FEATURES["hooks"]}
    hooks = decode(msgspec.json.encode(config)).hooks
    assert hooks is not None
    assert msgspec.json.decode(msgspec.json.encode(hooks)) == config["hooks"]


def test_mount_options_are_not_for_the_file_system() -> None:
    options = FEATURES["mountOptions"]
    assert {"remount", "rro", "ridmap", "tmpcopyup", "runbindable", "nosymfollow"} <= {*options}
    assert mount_options.parse(options).data == []


def test_namespaces_and_capabilities() -> None:
    linux = FEATURES["linux"]
    kinds = ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]
    assert linux["namespaces"] == kinds
    process = example().process
    assert process is not None
    names = linux["capabilities"]
    process.capabilities = Capabilities(bounding=names, permitted=names, effective=names)
    assert process_warnings(process) == []


def test_memory_policies() -> None:
    spec = example()
    assert isinstance(spec.linux, Linux)
    memory = FEATURES["linux"]["memoryPolicy"]
    for mode in memory["modes"]:
        nodes = "" if mode in ("MPOL_DEFAULT", "MPOL_LOCAL") else "0"
        spec.linux.memory_policy = MemoryPolicy(mode=mode, nodes=nodes, flags=memory["flags"])
        validate(spec)


def test_nothing_imports_it_on_the_way_to_a_container() -> None:
    script = (
        "import sys, cellcrate_runtime.oci.container, cellcrate_runtime.oci.rehearsal\n"
        "print(*(name for name in sys.modules if name.startswith('cellcrate_runtime.oci.')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    loaded = {name.rpartition(".")[2] for name in done.stdout.split()}
    rare = {"features", "hooks", "net_devices", "seccomp_agent", "state", "tuning"}
    assert "container" in loaded
    assert not loaded & (rare | {"validate_hooks"})
