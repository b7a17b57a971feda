"""docker pull, push and login, through the engine and a real registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from images.handmade import Entry
from images.registries import PASSWORD, USER, Registry
from images.sent import Sender, random_entries

pytestmark = pytest.mark.peer


@pytest.fixture
def own_registry(tmp_path: Path) -> Iterator[Registry]:
    """A registry with nothing in it."""
    with Registry(tmp_path) as registry:
        yield registry


def test_pull_says_what_docker_says(docker: Any, registry: Registry) -> None:
    sent = Sender(registry.address).image("one", "1", [Entry("a")], [Entry("b")])
    name = registry.name("one:1")
    said = docker("pull", name).splitlines()
    layers = [layer[7:19] for layer in sent.layers]
    assert said[0] == "1: Pulling from one"
    for layer in layers:
        for status in ("Pulling fs layer", "Download complete", "Pull complete"):
            assert f"{layer}: {status}" in said
    assert said[-3:] == [
        f"Digest: {sent.digest}",
        f"Status: Downloaded newer image for {name}",
        name,
    ]
    assert f"Status: Image is up to date for {name}" in docker("pull", name)
    [inspected] = json.loads(docker("image", "inspect", name))
    assert inspected["RepoDigests"] == [f"{registry.name('one')}@{sent.digest}"]
    docker("rmi", name)


def test_pull_of_all_tags(docker: Any, registry: Registry) -> None:
    for tag in ("1", "2"):
        Sender(registry.address).image("all", tag, [Entry(tag)])
    said = docker("pull", "-a", registry.name("all"))
    assert said.count("Status: Downloaded newer image for ") == 1
    listed = docker("images", "--format", "{{.Tag}}", registry.name("all")).split()
    assert sorted(listed) == ["1", "2"]
    docker("rmi", registry.name("all:1"), registry.name("all:2"))


def test_pull_on_a_terminal_shows_bars(docker: Any, registry: Registry) -> None:
    Sender(registry.address).image("bars", "1", random_entries("x", 3_000_000))
    terminal = docker.terminal("pull", registry.name("bars:1"))
    terminal.expect("Pull complete")
    assert terminal.finish()[0] == 0
    docker("rmi", registry.name("bars:1"))


def test_pull_of_what_is_not_there(docker: Any, registry: Registry) -> None:
    failed = docker.run("pull", registry.name("none:1"))
    assert failed.returncode == 1
    assert f"manifest for {registry.name('none:1')} not found: manifest unknown" in failed.stderr


def test_a_run_pulls_what_is_missing(docker: Any, registry: Registry) -> None:
    failed = docker.run("run", registry.name("nothing:1"))
    assert "Unable to find image" in failed.stderr
    assert failed.returncode == 125


def test_login_and_pull_with_a_password(docker: Any, closed: Registry) -> None:
    name = closed.name("x:1")
    refused = docker.run("pull", name)
    assert "pull access denied" in refused.stderr
    assert "docker login" in refused.stderr
    wrong = docker.run("login", "-u", USER, "--password-stdin", closed.address, input="wrong")
    assert wrong.returncode == 1
    assert "unauthorized" in wrong.stderr.lower()
    said = docker("login", "-u", USER, "--password-stdin", closed.address, input=PASSWORD)
    assert "Login Succeeded" in said
    assert "manifest unknown" in docker.run("pull", name).stderr
    docker("logout", closed.address)


def test_distribution(docker: Any, registry: Registry, engine: Any) -> None:
    sender = Sender(registry.address)
    images = {
        "linux/amd64": sender.image("both", "", [Entry("a")]),
        "linux/arm64": sender.image("both", "", [Entry("a")], architecture="arm64"),
    }
    index = sender.index("both", "1", images)
    data = engine.client.images.get_registry_data(registry.name("both:1"))
    assert data.id == index.digest
    assert data.has_platform("linux/arm64")
    assert not data.has_platform("linux/s390x")
    assert data.pull("linux/arm64").id == images["linux/arm64"].config
    engine.client.images.remove(images["linux/arm64"].config, force=True)


def test_push(docker: Any, own_registry: Registry, engine: Any) -> None:
    registry = own_registry
    name = registry.name("pushed:1")
    docker("tag", docker.image, name)
    said = docker("push", name).splitlines()
    assert said[0] == f"The push refers to repository [{registry.name('pushed')}]"
    assert any(line.endswith(": Pushed") for line in said)
    assert said[-1].startswith("1: digest: sha256:")
    assert "Layer already exists" in docker("push", name)
    docker("tag", name, registry.name("pushed/twice:2"))
    assert "Mounted from pushed" in docker("push", "-a", registry.name("pushed/twice"))
    [inspected] = json.loads(docker("image", "inspect", name))
    docker("rmi", name, registry.name("pushed/twice:2"))
    docker("pull", name)
    [again] = json.loads(docker("image", "inspect", name))
    assert again["Id"] == inspected["Id"]
    actions = [event["Action"] for event in engine.events(type="image")]
    assert "push" in actions
    assert "pull" in actions
    docker("rmi", name)


def test_push_of_what_is_not_there(docker: Any, registry: Registry) -> None:
    failed = docker.run("push", registry.name("none:1"))
    assert failed.returncode == 1
    assert "does not exist locally" in failed.stderr


def test_push_without_a_password(docker: Any, closed: Registry) -> None:
    name = closed.name("x:1")
    docker("tag", docker.image, name)
    failed = docker.run("push", name)
    assert failed.returncode == 1
    assert "no basic auth credentials" in failed.stderr
    docker("login", "-u", USER, "--password-stdin", closed.address, input=PASSWORD)
    assert "1: digest: sha256:" in docker("push", name)
    docker("rmi", name)
