"""A JupyterLab of the tests' own, and Debian's chromium to look at it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SECONDS_TO_START = 60
SETTINGS = {
    # Draw all of a notebook: usually JupyterLab leaves out what is not on the screen.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    # Do not ask whether it may fetch news.
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false"},
}


@dataclass(frozen=True, slots=True)
class Lab:
    """A running JupyterLab.

    Attributes:
        address: Its address, with a slash at the end.
        token: What opens it.
        folder: The folder that it shows.
    """

    address: str
    token: str
    folder: Path

    def url(self, path: str) -> str:
        """The address that opens a file, alone in the window."""
        return f"{self.address}doc/tree/{path}?token={self.token}"


def environment(home: Path) -> dict[str, str]:
    """This process's, with Jupyter's and Cellcrate's own state in a folder of the test."""
    foreign = {"CELLCRATE_HOST", "DOCKER_HOST", "CELLCRATE_LANGUAGE", "JPY_SESSION_NAME"}
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    folders = {
        name: str(home / name.lower())
        for name in (
            "JUPYTER_CONFIG_DIR",
            "JUPYTER_DATA_DIR",
            "JUPYTER_RUNTIME_DIR",
            "JUPYTERLAB_SETTINGS_DIR",
            "JUPYTERLAB_WORKSPACES_DIR",
            "IPYTHONDIR",
        )
    }
    return {
        **kept,
        **folders,
        "CELLCRATE_HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "extension"), str(ROOT / "runtime")]),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }


@pytest.fixture
def lab() -> Iterator[Lab]:
    """JupyterLab on the loopback address, with a copy of the lessons; it ends with the test."""
    home = Path(tempfile.mkdtemp(prefix="lab-"))
    shown = shutil.copytree(ROOT / "notebooks", home / "notebooks")
    for plugin, values in SETTINGS.items():
        file = home / "jupyterlab_settings_dir" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(values))
    token = secrets.token_hex(16)
    log = (home / "jupyter.log").open("wb")
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            *("--ip=127.0.0.1", "--port=0", f"--IdentityProvider.token={token}"),
            *(f"--ServerApp.root_dir={shown}", "--LabApp.check_for_updates_class="),
            "--LabApp.news_url=None",
        ],
        env=environment(home),
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    try:
        yield Lab(_address(server, home), token, shown)
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()
        subprocess.run(
            [sys.executable, "-m", "cellcrate_runtime", "engine", "stop"],
            env=environment(home),
            stdout=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        shutil.rmtree(home, ignore_errors=True)


def _address(server: subprocess.Popen[bytes], home: Path) -> str:
    """Wait for the file in which Jupyter writes where it listens."""
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and server.poll() is None:
        for file in (home / "jupyter_runtime_dir").glob("jpserver-*.json"):
            try:
                return str(json.loads(file.read_text())["url"])
            except ValueError:
                continue  # it is being written
        time.sleep(0.1)
    raise AssertionError((home / "jupyter.log").read_text())


@pytest.fixture
def page() -> Iterator[Page]:
    """An empty page of a browser with an empty profile."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            context = browser.new_context(
                viewport={"width": 1280, "height": 900}, device_scale_factor=1
            )
            yield context.new_page()
        finally:
            browser.close()
