"""Docker's config.json, and the helpers that keep secrets for it."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from cellcrate_runtime.images.registry.credentials import ANONYMOUS, Credential
from cellcrate_runtime.images.registry.docker_config import DockerConfig
from cellcrate_runtime.images.registry.errors import RegistryError

# Keeps what it is given in a file, and notes its arguments, as docker-credential-helpers do.
HELPER = """#!/bin/sh
folder=$(dirname "$0")
echo "$@" >> "$folder/arguments"
case $1 in
get)
    server=$(cat)
    if grep -q "\\"$server\\"" "$folder/kept" 2>/dev/null; then cat "$folder/kept"
    else echo "credentials not found in native keychain"; exit 1; fi ;;
store) cat > "$folder/kept" ;;
erase) rm "$folder/kept" ;;
esac
"""


def configured(folder: Path, document: Any) -> DockerConfig:
    (folder / "config.json").write_text(json.dumps(document))
    return DockerConfig(folder)


def auth(pair: str) -> dict[str, str]:
    return {"auth": base64.b64encode(pair.encode()).decode()}


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credential helper called "here"; its folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "docker-credential-here"
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_no_file(tmp_path: Path) -> None:
    assert DockerConfig(tmp_path).find("x.y") == ANONYMOUS
    assert not DockerConfig(tmp_path).erase("x.y")
    assert list(tmp_path.iterdir()) == []


def test_docker_config_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert DockerConfig().path == tmp_path / "config.json"


@pytest.mark.parametrize(
    ("domain", "key"),
    [
        ("docker.io", "https://index.docker.io/v1/"),
        ("x.y:5000", "x.y:5000"),
        ("x.y", "https://x.y/v2/"),
    ],
)
def test_passwords_are_found(tmp_path: Path, domain: str, key: str) -> None:
    config = configured(tmp_path, {"auths": {"other": auth("a:b"), key: auth("me:a:b")}})
    assert config.find(domain) == Credential("me", "a:b")
    assert config.find("elsewhere.org") == ANONYMOUS


def test_identity_tokens_are_found(tmp_path: Path) -> None:
    entry = {**auth("me:"), "identitytoken": "token"}
    config = configured(tmp_path, {"auths": {"x.y": entry}})
    assert config.find("x.y") == Credential("me", "", "token")


def test_storing_leaves_the_rest_as_it_is(tmp_path: Path) -> None:
    config = configured(tmp_path, {"psFormat": "x", "auths": {"a.b": auth("a:b")}})
    assert config.store("x.y", Credential("me", "secret")) == str(tmp_path / "config.json")
    config.store("docker.io", Credential("me", identity_token="token"))
    found = json.loads(config.path.read_text())
    assert found["psFormat"] == "x"
    assert set(found["auths"]) == {"a.b", "x.y", "https://index.docker.io/v1/"}
    assert config.path.stat().st_mode & 0o777 == 0o600
    assert config.find("docker.io").identity_token == "token"
    assert config.erase("x.y")
    assert config.find("x.y") == ANONYMOUS
    assert config.find("a.b") == Credential("a", "b")


def test_a_file_behind_a_link_stays_there(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    configured(tmp_path / "real", {})
    (tmp_path / "config.json").symlink_to(tmp_path / "real/config.json")
    DockerConfig(tmp_path).store("x.y", Credential("me", "secret"))
    assert (tmp_path / "config.json").is_symlink()
    assert DockerConfig(tmp_path / "real").find("x.y") == Credential("me", "secret")


@pytest.mark.parametrize("document", [{"credsStore": "here"}, {"credHelpers": {"x.y": "here"}}])
def test_a_helper_keeps_the_secret(tmp_path: Path, helper: Path, document: Any) -> None:
    config = configured(tmp_path, document)
    assert config.find("x.y") == ANONYMOUS
    assert config.store("x.y", Credential("me", "secret")) is None
    assert config.find("x.y") == Credential("me", "secret")
    assert json.loads(config.path.read_text()) == document
    config.store("x.y", Credential("me", identity_token="token"))
    assert config.find("x.y") == Credential(identity_token="token")
    assert config.erase("x.y")
    assert not config.erase("x.y")
    assert (helper / "arguments").read_text().split().count("store") == 2
    assert "secret" not in (helper / "arguments").read_text()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"credsStore": "missing"}, "docker-credential-missing.*is not installed"),
        ({"credsStore": "../x"}, "no name of a credential helper"),
        ({"auths": {"x.y": {"auth": "????"}}}, "no readable password for x.y"),
        ({"auths": ["x"]}, "not an object"),
        ([], "cannot be read"),
    ],
)
def test_what_does_not_work(tmp_path: Path, document: Any, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        configured(tmp_path, document).find("x.y")


def test_a_helper_that_fails_does_not_tell_secrets(tmp_path: Path, helper: Path) -> None:
    (helper / "docker-credential-here").write_text("#!/bin/sh\necho secret; exit 1\n")
    config = configured(tmp_path, {"credsStore": "here"})
    for use in (lambda: config.find("x.y"), lambda: config.store("x.y", Credential("a", "b"))):
        with pytest.raises(RegistryError, match="failed") as failed:
            use()
        assert "secret" not in str(failed.value)
