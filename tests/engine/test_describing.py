"""What inspect and list show, and which containers list finds."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import docker
import pytest

from .conftest import RunningEngine

FOREVER = ["sleep", "1000"]


def names(engine: RunningEngine, all: bool = True, limit: int = -1, **filters: Any) -> list[str]:
    found = engine.client.containers.list(
        all=all, limit=limit, filters=filters, ignore_removed=True
    )
    return [container.name for container in found]


@pytest.fixture
def several(engine: RunningEngine) -> dict[str, Any]:
    """A container that was made, one that ended, and two that run."""
    create = engine.client.containers.create
    found = {
        "made": create(engine.image, ["true"], name="made", labels={"kind": "a"}),
        "ended": create(engine.image, ["sh", "-c", "exit 3"], name="ended"),
        "runs": create(engine.image, FOREVER, name="runs", labels={"kind": "b", "x": ""}),
        "other": create(engine.image, FOREVER, name="other", volumes=["/usr:/data:ro"]),
    }
    for name in ("ended", "runs", "other"):
        found[name].start()
    found["ended"].wait()
    return found


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["other", "runs", "ended", "made"]),
        ({"all": False}, ["other", "runs"]),
        ({"limit": 2}, ["other", "runs"]),
        ({"all": False, "limit": 3}, ["other", "runs", "ended"]),
        ({"all": False, "status": "created"}, ["made"]),
        ({"status": ["exited", "created"]}, ["ended", "made"]),
        ({"status": "paused"}, []),
        ({"name": "^/?run"}, ["runs"]),
        ({"name": "nothing"}, []),
        ({"label": "kind"}, ["runs", "made"]),
        ({"label": ["kind=b", "x"]}, ["runs"]),
        ({"exited": "3"}, ["ended"]),
        ({"exited": "0"}, []),
        ({"before": "runs"}, ["ended", "made"]),
        ({"since": "ended"}, ["other", "runs"]),
        ({"ancestor": "cellcrate/base"}, ["other", "runs", "ended", "made"]),
        ({"ancestor": "other"}, []),
        ({"health": "none"}, ["other", "runs", "ended", "made"]),
        ({"health": "healthy"}, []),
        ({"network": "bridge"}, ["other", "runs", "ended", "made"]),
        ({"volume": "/data"}, ["other"]),
    ],
)
def test_list(
    engine: RunningEngine, several: dict[str, Any], options: dict[str, Any], expected: list[str]
) -> None:
    assert names(engine, **options) == expected


def test_list_by_id(engine: RunningEngine, several: dict[str, Any]) -> None:
    assert names(engine, id=several["runs"].id[:12]) == ["runs"]


def test_list_says_it_for_people(engine: RunningEngine, several: dict[str, Any]) -> None:
    lines = {c["Names"][0]: c for c in engine.client.api.containers(all=True, size=True)}
    assert lines["/made"]["Status"] == "Created"
    assert lines["/ended"]["Status"].startswith("Exited (3) ")
    assert lines["/runs"]["Status"].startswith("Up ")
    assert lines["/runs"]["Command"] == "sleep 1000"
    assert lines["/runs"]["Image"] == engine.image
    assert lines["/runs"]["SizeRootFs"] > 1_000_000


def test_inspect_has_what_clients_read(engine: RunningEngine) -> None:
    container = engine.client.containers.create(
        engine.image,
        ["-c", "true"],
        entrypoint=["sh"],
        environment={"A": "1"},
        hostname="box",
        working_dir="/tmp",
        user="nobody",
        labels={"l": "m"},
        cap_add=["NET_ADMIN"],
        tmpfs={"/t": "size=1m"},
        volumes=["/usr:/data:ro"],
    )
    found = engine.client.api.inspect_container(container.id)
    assert (found["Path"], found["Args"]) == ("sh", ["-c", "true"])
    assert found["Config"]["Entrypoint"] == ["sh"]
    assert "A=1" in found["Config"]["Env"]
    assert found["Config"]["Hostname"] == "box"
    assert found["Config"]["User"] == "nobody"
    assert found["HostConfig"]["CapAdd"] == ["NET_ADMIN"]
    assert found["HostConfig"]["CapDrop"] is None
    assert found["HostConfig"]["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}
    assert found["State"]["StartedAt"] == "0001-01-01T00:00:00Z"
    [volume] = [mount for mount in found["Mounts"] if mount["Type"] == "bind"]
    assert (volume["Source"], volume["Destination"], volume["RW"]) == ("/usr", "/data", False)
    assert found["GraphDriver"]["Data"]["UpperDir"].endswith("/upper")
    assert found["LogPath"].endswith("-json.log")
    assert "bridge" in found["NetworkSettings"]["Networks"]


@pytest.mark.usefixtures("limits")
def test_limits_and_pauses_are_shown(engine: RunningEngine) -> None:
    container = engine.run(FOREVER, mem_limit="64m")
    container.pause()
    [line] = engine.client.api.containers(filters={"status": "paused"})
    assert line["Status"].endswith("(Paused)")
    found = engine.client.api.inspect_container(container.id)
    assert found["HostConfig"]["Memory"] == 64 << 20
    assert found["HostConfig"]["MemorySwap"] == 128 << 20
    assert (found["State"]["Paused"], found["State"]["Running"]) == (True, True)


def test_ids_are_found_by_their_beginning(engine: RunningEngine) -> None:
    made = [engine.client.containers.create(engine.image, ["true"]) for _ in range(17)]
    digits = [container.id[0] for container in made]
    shared = next(digit for digit in digits if digits.count(digit) > 1)
    answer = engine.request("GET", f"/containers/{shared}/json")
    assert (answer.status, "multiple IDs found" in answer.message) == (400, True)
    assert engine.client.containers.get(made[0].id[:20]).id == made[0].id


def test_entry_point_and_command(engine: RunningEngine) -> None:
    api = engine.client.api

    def made(**members: Any) -> tuple[str, list[str]]:
        body = json.dumps({"Image": engine.image, **members}).encode()
        answer = engine.request("POST", "/containers/create", body)
        found = api.inspect_container(json.loads(answer.body)["Id"])
        return found["Path"], found["Args"]

    default = api.inspect_image(engine.image)["Config"]["Cmd"]
    assert made() == (default[0], default[1:])
    assert made(Cmd=["a", "b"]) == ("a", ["b"])
    assert made(Entrypoint=["x"], Cmd=["a"]) == ("x", ["a"])
    assert made(Entrypoint=["x"]) == ("x", [])
    assert made(Entrypoint=[""], Cmd=["a"]) == ("a", [])
    answer = engine.request(
        "POST",
        "/containers/create",
        json.dumps({"Image": engine.image, "Entrypoint": [""]}).encode(),
    )
    assert (answer.status, answer.message) == (400, "no command specified")


# -- images ---------------------------------------------------------------------------------------


def test_images_are_listed_and_inspected(engine: RunningEngine) -> None:
    [image] = engine.client.images.list()
    assert image.tags == [engine.image]
    assert image.attrs["Os"] == "linux"
    assert image.attrs["RootFS"]["Layers"]
    assert engine.client.images.get(image.short_id).id == image.id
    steps = image.history()
    assert steps[0]["Id"] == image.id
    assert sum(step["Size"] for step in steps) > 1_000_000


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"reference": "cellcrate/*"}, 1),
        ({"reference": "python"}, 0),
        ({"dangling": "true"}, 0),
        ({"label": "nothing"}, 0),
    ],
)
def test_images_are_filtered(engine: RunningEngine, filters: dict[str, str], count: int) -> None:
    assert len(engine.client.images.list(filters=filters)) == count


def test_images_are_tagged_and_untagged(engine: RunningEngine) -> None:
    image = engine.client.images.get(engine.image)
    assert image.tag("mine/thing", "v1")
    assert engine.client.images.get("mine/thing:v1").id == image.id
    engine.client.images.remove("mine/thing:v1")
    with pytest.raises(docker.errors.ImageNotFound):
        engine.client.images.get("mine/thing:v1")
    assert [e["Action"] for e in engine.events(type="image")][-2:] == ["tag", "untag"]


def test_an_image_in_use_is_kept(engine: RunningEngine) -> None:
    container = engine.run(FOREVER)
    with pytest.raises(docker.errors.APIError, match="conflict") as error:
        engine.client.images.remove(engine.image)
    assert error.value.status_code == 409
    container.remove(force=True)


def test_an_image_is_saved_and_loaded(own_engine: RunningEngine) -> None:
    image = own_engine.client.images.get(own_engine.image)
    archive = b"".join(image.save(named=True))
    own_engine.client.images.remove(own_engine.image, force=True)
    assert own_engine.client.images.list() == []
    [loaded] = own_engine.client.images.load(archive)
    assert loaded.id == image.id
    assert own_engine.run(["echo", "again"]).wait()["StatusCode"] == 0


def test_an_archive_that_is_none(engine: RunningEngine) -> None:
    answer = engine.request("POST", "/images/load", b"no archive", content="application/x-tar")
    assert json.loads(answer.body)["errorDetail"]["message"]


def test_pulling_the_base_image_that_is_there(engine: RunningEngine) -> None:
    query = f"fromImage={quote('cellcrate/base')}&tag=latest"
    answer = engine.request("POST", f"/images/create?{query}")
    assert answer.status == 200
    assert b"Image is up to date for cellcrate/base:latest" in answer.body
