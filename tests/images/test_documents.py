"""Documents of other tools are understood, and ours are stable."""

from __future__ import annotations

import json

import pytest

from cellcrate_runtime.images import InvalidArchiveError
from cellcrate_runtime.images.documents import (
    Execution,
    Healthcheck,
    ImageConfig,
    Index,
    Manifest,
    RootFS,
    decode,
    encode,
)

# What docker build wrote for a small image, shortened; note its nulls and its own members.
DOCKER_CONFIG = {
    "architecture": "amd64",
    "config": {
        "Hostname": "",
        "User": "app",
        "AttachStdin": False,
        "ExposedPorts": {"80/tcp": {}},
        "Env": ["PATH=/bin"],
        "Cmd": None,
        "Entrypoint": ["/app"],
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 30000000000, "Retries": 3},
        "Volumes": None,
        "WorkingDir": "/srv",
        "OnBuild": None,
        "Labels": None,
        "StopSignal": "SIGQUIT",
        "Shell": ["/bin/bash", "-c"],
    },
    "created": "2024-05-06T07:08:09.123456789Z",
    "history": [{"created": "2024-05-06T07:08:09Z", "created_by": "CMD", "empty_layer": True}],
    "os": "linux",
    "os.version": "10.0",
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "1" * 64]},
    "docker_version": "24.0",
}


def test_dockers_configuration_is_understood() -> None:
    config = decode(ImageConfig, json.dumps(DOCKER_CONFIG).encode())
    execution = config.execution
    assert execution.user == "app"
    assert execution.cmd is None
    assert execution.entrypoint == ["/app"]
    assert execution.healthcheck == Healthcheck(
        test=["CMD", "true"], interval=30_000_000_000, retries=3
    )
    assert execution.shell == ["/bin/bash", "-c"]
    assert config.os_version == "10.0"
    assert config.history is not None
    assert config.history[0].empty_layer


def test_an_image_may_say_nothing_of_how_it_runs() -> None:
    config = decode(ImageConfig, b'{"architecture":"arm64","os":"linux","rootfs":{"diff_ids":[]}}')
    assert config.execution == Execution()


def test_documents_are_written_with_the_names_of_the_specification() -> None:
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        config=Execution(env=["A=b"], working_dir="/", stop_signal="SIGINT"),
        rootfs=RootFS(diff_ids=["sha256:" + "0" * 64]),
    )
    assert json.loads(encode(config)) == {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["A=b"], "WorkingDir": "/", "StopSignal": "SIGINT"},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]},
    }
    assert encode(decode(ImageConfig, encode(config))) == encode(config)


def test_an_empty_index_still_has_its_list() -> None:
    assert json.loads(encode(Index(schema_version=2, manifests=[]))) == {
        "schemaVersion": 2,
        "manifests": [],
    }


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"schemaVersion": 2}', b'{"schemaVersion": "2"}', b"\xff\xfe"]
)
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidArchiveError, match="manifest"):
        decode(Manifest, content)
