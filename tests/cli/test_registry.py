"""``cellcrate image pull``, ``push``, ``tags``, ``login`` and ``logout``."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellcrate_runtime.cli.transfer_lines import Lines, Pace
from cellcrate_runtime.images.registry.progress import Step
from cli.conftest import COMMAND, Cellcrate
from images.handmade import Entry
from images.registries import PASSWORD, USER, Registry
from images.sent import Sender


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that anybody may use."""
    with Registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that wants a password."""
    with Registry(tmp_path_factory.mktemp("closed"), password=True) as registry:
        yield registry


def test_pull_tags_and_push(cellcrate: Cellcrate, registry: Registry) -> None:
    sender = Sender(registry.address)
    sent = [sender.image("x", tag, [Entry(tag)]) for tag in ("1", "2")]
    name = registry.name("x:1")
    said = cellcrate("image", "pull", name).stdout.splitlines()
    assert said[0] == "1: Pulling from x"
    assert f"{sent[0].layers[0][7:19]}: Pull complete" in said
    assert said[-2:] == [f"Status: Downloaded newer image for {name}", name]
    assert cellcrate("image", "pull", "-q", name).stdout == f"{name}\n"
    assert sorted(cellcrate("image", "tags", registry.name("x")).stdout.split()) == ["1", "2"]
    cellcrate("image", "pull", "--all-tags", registry.name("x"))
    [second] = json.loads(cellcrate("image", "inspect", registry.name("x:2")).stdout)
    assert second["Id"] == sent[1].config
    cellcrate("image", "tag", name, registry.name("y"))
    pushed = cellcrate("image", "push", registry.name("y")).stdout.splitlines()
    assert pushed[0] == f"The push refers to repository [{registry.name('y')}]"
    assert pushed[-1] == f"latest: digest: {sent[0].digest} size: {sent[0].size}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("pull", "-a", "x:1"), "tag can't be used"),
        (("push", "-a", "x:1"), "tag can't be used"),
        (("pull", "--platform", "a/b/c/d", "127.0.0.1:1/x"), "no platform"),
        (("pull", "127.0.0.1:1/x"), "cannot be reached"),
        (("push", "127.0.0.1:1/x"), "does not exist locally"),
        (("pull", "cellcrate/base"), "packed from this machine's programs"),
        (("login", "--password-stdin", "127.0.0.1:1"), "Must provide --username"),
        (("login", "-u", "x", "127.0.0.1:1"), "no terminal"),
    ],
)
def test_what_cannot_be_done(cellcrate: Cellcrate, words: tuple[str, ...], message: str) -> None:
    status = 2 if message.startswith(("tag", "Must", "no terminal")) else 1
    assert message in cellcrate("image", *words, status=status).stderr


def test_login_keeps_what_docker_would(
    environment: dict[str, str], closed: Registry, tmp_path: Path
) -> None:
    environment["DOCKER_CONFIG"] = str(tmp_path)

    def image(*words: str, input: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, "image", *words],
            env=environment,
            input=input,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    login = ["login", "-u", USER, "--password-stdin", closed.address]
    wrong = image(*login, input="hunter2")
    assert (wrong.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "unauthorized" in wrong.stderr
    assert "hunter2" not in wrong.stderr
    done = image(*login, input=f"{PASSWORD}\n")
    assert done.stdout == "Login Succeeded\n"
    assert "unencrypted" in done.stderr
    assert PASSWORD not in done.stderr
    file = tmp_path / "config.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(json.loads(file.read_text())["auths"]) == [closed.address]
    assert "manifest unknown" in image("pull", closed.name("none")).stderr
    assert "Removing login credentials" in image("logout", closed.address).stdout
    assert "Not logged in" in image("logout", closed.address).stdout
    assert "pull access denied" in image("pull", closed.name("none")).stderr


def test_a_password_among_the_arguments_is_warned_of(
    cellcrate: Cellcrate, closed: Registry, tmp_path: Path
) -> None:
    words = ["image", "login", "-u", USER, "--password", PASSWORD, closed.address]
    said = cellcrate(*words, DOCKER_CONFIG=str(tmp_path)).stderr
    assert "--password via the CLI is insecure" in said


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_a_line_for_each_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((80, 24)))
    output = _Terminal()
    with Lines(output=output) as lines:
        lines.report(Step("Pulling from x", "1"))
        lines.report(Step("Pulling fs layer", "aaaa"))
        lines.report(Step("Pulling fs layer", "bbbb"))
        lines.report(Step("Downloading", "aaaa", 500_000, 1_000_000))
    shown = output.getvalue().splitlines()
    assert shown[:3] == ["1: Pulling from x", "aaaa: Pulling fs layer", "bbbb: Pulling fs layer"]
    assert "aaaa: Downloading [==========>         ] 500kB/1MB" in output.getvalue()
    assert output.getvalue().endswith("\x1b[2B")


def test_no_line_is_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((30, 24)))
    output = _Terminal()
    with Lines(output=output) as lines:
        lines.report(Step("Downloading", "aaaa", 500_000, 1_000_000))
    assert len(output.getvalue()) == 30


def test_pace_tells_how_long_it_takes() -> None:
    pace = Pace()
    assert pace.left(100) is None
    pace.moved(0, 1.0)
    assert pace.left(100) is None
    pace.moved(50, 2.0)
    assert pace.rate == 50.0
    assert pace.left(100) == 1.0
    pace.moved(60, 3.0)
    assert 10.0 < pace.rate < 50.0
