"""Debian's docker-registry on this machine, plain, with TLS, or with passwords."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["PASSWORD", "USER", "Certificates", "Registry", "make_certificates"]

PATIENCE = 30.0  # seconds
USER, PASSWORD = "learner", "correct horse"
# The password by bcrypt, as `htpasswd -B` writes it.
_HTPASSWD = f"{USER}:$2y$04$MDEyMzQ1Njc4OWFiY2RlZeATPHh7wDvtcyrjFpbDITxayZpNZBCo.\n"
_request = re.compile(r'"(?P<method>[A-Z]+) (?P<path>\S+) HTTP/1\.1" (?P<status>\d+) (?P<size>\d+)')


@dataclass(frozen=True)
class Certificates:
    """An authority, and a certificate of it for this machine."""

    authority: Path
    certificate: Path
    key: Path


@dataclass(frozen=True)
class Request:
    """A request that the registry noted."""

    method: str
    path: str
    status: int
    size: int


class Registry:
    """A registry that runs on a port of loopback, and keeps everything in one folder."""

    def __init__(
        self,
        folder: Path,
        *,
        certificates: Certificates | None = None,
        password: bool = False,
        token: dict[str, str] | None = None,
    ) -> None:
        if shutil.which("docker-registry") is None:
            pytest.skip("docker-registry is not installed (Debian's package of that name)")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.certificates = certificates
        self.port = _free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._log = folder / "log"
        configuration = folder / "config.yml"
        # YAML understands JSON.
        configuration.write_text(json.dumps(self._configuration(password, token)))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
            )
        self._wait()

    def _configuration(self, password: bool, token: dict[str, str] | None) -> dict[str, object]:
        http: dict[str, object] = {"addr": self.address}
        if self.certificates is not None:
            certificates = self.certificates
            http["tls"] = {
                "certificate": str(certificates.certificate),
                "key": str(certificates.key),
            }
        configuration: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {
                "filesystem": {"rootdirectory": str(self.folder / "data")},
                "delete": {"enabled": True},
            },
            "http": http,
            # Else it takes no manifest whose layers are elsewhere.
            "validation": {"manifests": {"urls": {"allow": [".*"]}}},
        }
        if password:
            passwords = self.folder / "htpasswd"
            passwords.write_text(_HTPASSWD)
            configuration["auth"] = {"htpasswd": {"realm": "here", "path": str(passwords)}}
        if token is not None:
            configuration["auth"] = {"token": token}
        return configuration

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < deadline, self._log.read_text()
                time.sleep(0.02)

    def name(self, rest: str) -> str:
        """The name of an image in this registry."""
        return f"{self.address}/{rest}"

    def requests(self, method: str = "", part: str = "") -> list[Request]:
        """What it was asked so far, in order."""
        found = [
            Request(match["method"], match["path"], int(match["status"]), int(match["size"]))
            for match in _request.finditer(self._log.read_text())
        ]
        return [r for r in found if r.method.startswith(method) and part in r.path]

    def blobs_sent(self) -> list[Request]:
        """The blobs that somebody got from it."""
        return [r for r in self.requests("GET", "/blobs/sha256:") if r.status in (200, 206)]

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(PATIENCE)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def make_certificates(folder: Path) -> Certificates:
    """Make an authority, and a certificate for 127.0.0.1 and localhost, by openssl."""
    folder.mkdir(parents=True, exist_ok=True)
    authority, key = folder / "ca.crt", folder / "ca.key"
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _openssl(
        *["req", "-x509", *new_key, "-keyout", str(key), "-out", str(authority)],
        *["-days", "2", "-subj", "/CN=authority of the tests"],
    )
    own, own_key, asked = folder / "own.crt", folder / "own.key", folder / "own.csr"
    _openssl(
        *["req", "-new", *new_key, "-keyout", str(own_key), "-out", str(asked)],
        *["-subj", "/CN=localhost"],
    )
    names = folder / "names"
    names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    _openssl(
        *["x509", "-req", "-in", str(asked), "-CA", str(authority), "-CAkey", str(key)],
        *["-CAcreateserial", "-days", "2", "-extfile", str(names), "-out", str(own)],
    )
    return Certificates(authority, own, own_key)


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=PATIENCE)
