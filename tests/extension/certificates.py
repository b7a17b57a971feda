"""A certificate authority, a server's and a client's certificate, for a test of TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["make_certificates"]


def make_certificates(folder: Path) -> None:
    """Write ca.pem, and cert.pem and key.pem for a server at 127.0.0.1 and for a client.

    The client's lie in ``folder``, where DOCKER_CERT_PATH expects them; the server's in
    ``folder/server``.
    """
    server = folder / "server"
    server.mkdir(parents=True)
    _openssl(
        folder,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        "-subj /CN=test-authority -keyout ca-key.pem -out ca.pem "
        "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign",
    )
    _sign(folder, server, "server", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    _sign(folder, folder, "client", "extendedKeyUsage=clientAuth\n")


def _sign(authority: Path, folder: Path, name: str, extensions: str) -> None:
    (folder / "extensions").write_text(extensions + "basicConstraints=CA:FALSE\n")
    _openssl(
        folder,
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
        f"-subj /CN={name} -keyout key.pem -out request.pem",
    )
    _openssl(
        folder,
        f"x509 -req -days 2 -in request.pem -CA {authority}/ca.pem -CAkey {authority}/ca-key.pem "
        "-CAcreateserial -extfile extensions -out cert.pem",
    )


def _openssl(folder: Path, arguments: str) -> None:
    subprocess.run(
        ["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True, timeout=60
    )
