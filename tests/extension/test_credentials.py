"""Passwords for registries: asked for, kept where docker keeps them, and seen nowhere else."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker
import pytest

from cellcrate.errors import CellcrateError, EngineError, UsageError
from cellcrate.images import credentials

PASSWORD = "s3cret, never seen"

HELPER = """\
#!/bin/sh
cd "$(dirname "$0")"
case "$1" in
store) cat > kept ;;
get) test -e kept && cat kept || { echo "credentials not found in native keychain"; exit 1; } ;;
erase) rm kept ;;
esac
"""


class Link:
    """An engine that tries passwords, or says that it does not."""

    def __init__(self, answer: dict[str, Any] | EngineError) -> None:
        self.answer = answer
        self.tried: dict[str, Any] = {}

    def ask(self, question: Any) -> Any:
        if isinstance(self.answer, EngineError):
            raise self.answer

        def post(url: str, json: dict[str, Any], timeout: float) -> Any:
            assert url.endswith("/auth")
            self.tried = json
            return SimpleNamespace(raise_for_status=lambda: None, json=lambda: self.answer)

        return question(SimpleNamespace(base_url="", api_version="1.41", timeout=1, post=post))


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the configuration is, which is not there yet; and somebody who types."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setattr(credentials.getpass, "getpass", lambda _: PASSWORD)
    return tmp_path / "docker" / "config.json"


def login(registry: str = "localhost:5000", answer: Any = None) -> str:
    return credentials.login(Link(answer if answer is not None else {}), registry, "me")  # type: ignore[arg-type]


def test_a_password_is_kept_as_docker_keeps_it(config: Path):
    said = login()
    assert said == "Logged in to localhost:5000 as me."
    document = json.loads(config.read_text())
    assert document == {
        "auths": {"localhost:5000": {"auth": base64.b64encode(f"me:{PASSWORD}".encode()).decode()}}
    }
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
    known = docker.auth.load_config(str(config))
    assert known.resolve_authconfig("localhost:5000")["password"] == PASSWORD
    assert [each.name for each in config.parent.iterdir()] == ["config.json"]


def test_docker_hub_has_its_old_name(config: Path):
    login("docker.io")
    assert list(json.loads(config.read_text())["auths"]) == ["https://index.docker.io/v1/"]
    assert docker.auth.load_config(str(config)).resolve_authconfig(None)["username"] == "me"


def test_a_token_takes_the_place_of_the_password(config: Path):
    login(answer={"IdentityToken": "t0ken", "Status": "Login Succeeded"})
    entry = json.loads(config.read_text())["auths"]["localhost:5000"]
    assert entry["identitytoken"] == "t0ken"
    assert base64.b64decode(entry["auth"]) == b"me:"


def test_other_settings_stay(config: Path):
    config.parent.mkdir()
    config.write_text(
        json.dumps({"proxies": {"default": {}}, "auths": {"other": {"auth": "eA=="}}})
    )
    login()
    document = json.loads(config.read_text())
    assert document["proxies"] == {"default": {}}
    assert set(document["auths"]) == {"other", "localhost:5000"}
    assert credentials.logout("localhost:5000") == "Forgot the password for localhost:5000."
    assert set(json.loads(config.read_text())["auths"]) == {"other"}
    assert credentials.logout("localhost:5000") == "There was none for localhost:5000."


def test_a_configuration_that_is_a_link_stays_one(config: Path, tmp_path: Path):
    config.parent.mkdir()
    config.symlink_to(tmp_path / "elsewhere.json")
    login()
    assert config.is_symlink()
    assert "localhost:5000" in (tmp_path / "elsewhere.json").read_text()


@pytest.mark.parametrize("where", ["credsStore", "credHelpers"])
def test_a_helper_keeps_it_if_there_is_one(config: Path, tmp_path: Path, monkeypatch, where: str):
    helper = tmp_path / "bin" / "docker-credential-test"
    helper.parent.mkdir()
    helper.write_text(HELPER)
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}:/usr/bin:/bin")
    config.parent.mkdir()
    settings = "test" if where == "credsStore" else {"localhost:5000": "test"}
    config.write_text(json.dumps({where: settings}))
    login()
    assert json.loads((helper.parent / "kept").read_text()) == {
        "ServerURL": "localhost:5000",
        "Username": "me",
        "Secret": PASSWORD,
    }
    assert json.loads(config.read_text())["auths"] == {"localhost:5000": {}}
    assert "Forgot" in credentials.logout("localhost:5000")
    assert not (helper.parent / "kept").exists()


def test_a_refused_password_is_not_kept(config: Path):
    with pytest.raises(EngineError, match="unauthorized") as caught:
        login(answer=EngineError("unauthorized: incorrect username or password", 401))
    assert PASSWORD not in str(caught.value)
    assert not config.exists()


def test_an_engine_that_tries_none_is_no_reason_to_keep_none(config: Path):
    assert "tried at the next pull" in login(answer=EngineError("not served", 501))
    assert config.exists()


def test_nothing_is_kept_where_nobody_can_be_asked(config: Path, monkeypatch):
    def nobody(_: str) -> str:
        raise NotImplementedError("no field to type in")

    monkeypatch.setattr(credentials.getpass, "getpass", nobody)
    with pytest.raises(CellcrateError, match="docker login"):
        login()
    assert not config.exists()


@pytest.mark.parametrize("broken", ["no json", "[]"])
def test_a_broken_configuration_is_left_alone(config: Path, broken: str):
    config.parent.mkdir()
    config.write_text(broken)
    with pytest.raises(CellcrateError, match=r"config\.json"):
        login()
    assert config.read_text() == broken


@pytest.mark.parametrize("line", ["login -p x", "login --password=x", "login --password-stdin"])
def test_a_password_in_a_cell_is_refused(line: str):
    from cellcrate.commands import IMAGE

    with pytest.raises(UsageError, match="a field asks for"):
        IMAGE.dispatch(line.split())
