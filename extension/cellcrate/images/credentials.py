"""Names and passwords for registries, kept where docker keeps them.

That is ``config.json`` in ``$DOCKER_CONFIG`` or ``~/.docker``, or a helper program that it names
(docker's reference, "docker login", "Credential stores"; docker-credential-helpers, README,
"Development"). docker-py reads both, and stores neither.
"""

from __future__ import annotations

import base64
import getpass
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from cellcrate.cells.link import Link
from cellcrate.errors import CellcrateError, EngineError
from cellcrate.http import checked
from cellcrate.images.names import ROOT_OF_HUB

__all__ = ["login", "logout"]

#: What engines answer that do not check credentials themselves.
NOT_CHECKED = (404, 405, 501)
#: The name under which helpers keep a token in place of a password.
TOKEN = "<token>"


def login(link: Link, registry: str, username: str) -> str:
    """Ask for a password, try it, and keep it; return what happened, in one sentence.

    Args:
        link: The way to the engine, which tries the password.
        registry: The registry; "" for Docker Hub.
        username: The name; "" asks for it.

    Raises:
        EngineError: The registry refuses.
        CellcrateError: Nobody can be asked, or nothing can be kept.
    """
    server = _server(registry)
    try:
        username = username or input(f"Name for {registry or 'Docker Hub'}: ").strip()
        password = getpass.getpass(f"Password of {username}: ")
    except (NotImplementedError, EOFError):
        # A front end without a field to type in (IPython, StdinNotImplementedError), or nbval.
        raise _cannot_ask() from None
    if not username or not password:
        raise CellcrateError("Nothing was kept: a name and a password are needed.")
    token, checked_by = _try(link, server, username, password)
    _keep(server, TOKEN if token else username, token or password, username)
    where = registry or "Docker Hub"
    if checked_by:
        return f"Logged in to {where} as {username}."
    return f"Kept the password of {username} for {where}; it is tried at the next pull or push."


def _cannot_ask() -> CellcrateError:
    return CellcrateError(
        "Nobody can be asked for the password here. In a terminal: docker login, or "
        "podman login --compat-auth-file ~/.docker/config.json."
    )


def logout(registry: str) -> str:
    """Forget a name and a password; return what happened, in one sentence.

    Raises:
        CellcrateError: The configuration cannot be read or written.
    """
    server, where = _server(registry), registry or "Docker Hub"
    config = _read()
    helper = _helper(config, server)
    known = server in config.get("auths", {})
    if helper:
        known = _erase(helper, server) or known
    if server in config.get("auths", {}):
        del config["auths"][server]
        _write(config)
    return f"Forgot the password for {where}." if known else f"There was none for {where}."


def _server(registry: str) -> str:
    """Return what docker's configuration calls a registry."""
    plain = registry.removeprefix("https://").removeprefix("http://").rstrip("/")
    if plain in ("", "docker.io", "index.docker.io", "registry-1.docker.io", "index.docker.io/v1"):
        return ROOT_OF_HUB
    return plain


def _try(link: Link, server: str, username: str, password: str) -> tuple[str, bool]:
    """Have the engine try a password; return the token that it got, and whether it tried."""
    body = {"username": username, "password": password, "serveraddress": server}

    def ask(api: Any) -> dict[str, Any]:
        url = f"{api.base_url}/v{api.api_version}/auth"
        answer: dict[str, Any] = checked(api.post(url, json=body, timeout=api.timeout)).json()
        return answer

    try:
        return str(link.ask(ask).get("IdentityToken") or ""), True
    except EngineError as error:
        if error.status in NOT_CHECKED:
            return "", False
        raise


def _keep(server: str, name: str, secret: str, username: str) -> None:
    config = _read()
    helper = _helper(config, server)
    auths = config.setdefault("auths", {})
    if helper:
        _store(helper, server, name, secret)
        auths[server] = {}  # as docker writes it: the helper has the rest
    elif name == TOKEN:
        auths[server] = {"auth": _encoded(username, ""), "identitytoken": secret}
    else:
        auths[server] = {"auth": _encoded(username, secret)}
    _write(config)


def _encoded(name: str, password: str) -> str:
    return base64.b64encode(f"{name}:{password}".encode()).decode()


def _helper(config: dict[str, Any], server: str) -> str:
    helpers = config.get("credHelpers") or {}
    return str(helpers.get(server) or config.get("credsStore") or "")


def _store(helper: str, server: str, name: str, secret: str) -> None:
    import docker.credentials

    try:
        docker.credentials.Store(helper).store(server, name, secret)
    except docker.credentials.StoreError:
        # What the helper printed is not repeated: the secret may be in it.
        raise CellcrateError(
            f"docker-credential-{helper} keeps nothing. Try it by hand, and see its documentation."
        ) from None


def _erase(helper: str, server: str) -> bool:
    import docker.credentials

    try:
        store = docker.credentials.Store(helper)
        store.get(server)
        store.erase(server)
    except docker.credentials.StoreError:
        return False
    return True


def _file() -> Path:
    folder = os.environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else Path.home() / ".docker") / "config.json"


def _read() -> dict[str, Any]:
    try:
        document = json.loads(_file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CellcrateError(f"{_file()} cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise CellcrateError(f"{_file()} is not docker's configuration: it holds no object.")
    return document


def _write(config: dict[str, Any]) -> None:
    """Write the configuration whole, for its owner's eyes alone."""
    # It may be a link into a folder of settings that a person shares between machines.
    file = _file().resolve()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made with mode 0600 (tempfile, "mkstemp"), before anything stands in it.
        descriptor, part = tempfile.mkstemp(prefix=".config.", dir=file.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as output:
                json.dump(config, output, indent="\t")
                output.flush()
                os.fsync(output.fileno())
            os.replace(part, file)
        except BaseException:
            os.unlink(part)
            raise
    except OSError as error:
        raise CellcrateError(f"{file} cannot be written: {error.strerror}.") from None
