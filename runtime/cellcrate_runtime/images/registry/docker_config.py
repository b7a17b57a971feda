"""Docker's ``config.json``: where users keep what ``docker login`` was told.

``auths`` has names and passwords in base64, which hides nothing; so ``credsStore`` and
``credHelpers`` name programs, ``docker-credential-NAME``, that keep them in a safer place. A secret
goes to such a program and comes from it by its standard streams, never by its arguments, which
every user of the machine can read. Sources: Docker's reference of ``docker login``, "Credential
stores" and "Credential helpers"; the README of docker/docker-credential-helpers for the protocol.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec

from cellcrate_runtime.images.files import write_whole
from cellcrate_runtime.images.registry.credentials import ANONYMOUS, Credential, read_pair
from cellcrate_runtime.images.registry.endpoints import DOCKER_HUB
from cellcrate_runtime.images.registry.errors import RegistryError

__all__ = ["DockerConfig"]

# By this, Docker has Docker Hub in its files ever since there was a first version of the registry.
_DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"  # as a name, says that the secret is an identity token
_NOT_FOUND = "credentials not found"
_PATIENCE = 60.0  # seconds; a helper may ask somebody to unlock something


class DockerConfig:
    """The file, read anew each time, and the helpers that it names."""

    def __init__(self, folder: Path | None = None) -> None:
        given = os.environ.get("DOCKER_CONFIG")
        self.path = (folder or Path(given or Path.home() / ".docker")) / "config.json"

    def find(self, domain: str) -> Credential:
        """What is known for a registry; an anonymous credential where nothing is.

        Raises:
            RegistryError: The file, or a helper that it names, does not work.
        """
        config = self._read()
        helper = self._helper(config, domain)
        if helper is not None:
            return _ask(helper, _key(domain))
        entries: dict[str, Any] = config.get("auths") or {}
        for key, entry in entries.items():
            if _host_of(key) == _host_of(_key(domain)) and isinstance(entry, dict):
                return self._credential(key, entry)
        return ANONYMOUS

    def store(self, domain: str, credential: Credential) -> str | None:
        """Keep a credential; return the file, if the secret now lies in one as good as open.

        Raises:
            RegistryError: It cannot be kept.
        """
        config = self._read()
        helper = self._helper(config, domain)
        if helper is not None:
            token = credential.identity_token
            _call(
                helper,
                "store",
                msgspec.json.encode(
                    {
                        "ServerURL": _key(domain),
                        "Username": _TOKEN_USER if token else credential.username,
                        "Secret": token or credential.password,
                    }
                ),
            )
            return None
        password = "" if credential.identity_token else credential.password
        pair = base64.b64encode(f"{credential.username}:{password}".encode()).decode()
        entry = {"auth": pair}
        if credential.identity_token:
            entry["identitytoken"] = credential.identity_token
        config.setdefault("auths", {})[_key(domain)] = entry
        self._write(config)
        return str(self.path)

    def erase(self, domain: str) -> bool:
        """Forget a credential; return whether there was one.

        Raises:
            RegistryError: It cannot be forgotten.
        """
        config = self._read()
        found = False
        helper = self._helper(config, domain)
        if helper is not None:
            found = _ask(helper, _key(domain)) != ANONYMOUS
            if found:
                _call(helper, "erase", _key(domain).encode())
        entries = config.get("auths") or {}
        mine = [key for key in entries if _host_of(key) == _host_of(_key(domain))]
        for key in mine:
            del entries[key]
        if mine:
            self._write(config)
        return found or bool(mine)

    def _helper(self, config: dict[str, Any], domain: str) -> str | None:
        helpers = config.get("credHelpers") or {}
        return helpers.get(domain) or config.get("credsStore") or None

    def _credential(self, key: str, entry: dict[str, Any]) -> Credential:
        token = str(entry.get("identitytoken") or "")
        registry_token = str(entry.get("registrytoken") or "")
        try:
            username, password = read_pair(entry["auth"]) if entry.get("auth") else ("", "")
        except ValueError as error:
            raise RegistryError(
                f"{self.path} has no readable password for {key}. Log in again."
            ) from error
        return Credential(username, password, token, registry_token)

    def _read(self) -> dict[str, Any]:
        try:
            config = msgspec.json.decode(self.path.read_bytes() or b"{}", type=dict[str, Any])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            raise RegistryError(f"{self.path} cannot be read: {error}") from error
        if not isinstance(config.get("auths") or {}, dict):
            raise RegistryError(f'{self.path} cannot be understood: "auths" is not an object')
        return config

    def _write(self, config: dict[str, Any]) -> None:
        # Who keeps it elsewhere, behind a symbolic link, goes on doing so.
        path = self.path.resolve()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            content = msgspec.json.format(msgspec.json.encode(config), indent=8)
            write_whole(path, content + b"\n")
        except OSError as error:
            raise RegistryError(f"{path} cannot be written: {error.strerror}") from error


def _key(domain: str) -> str:
    return _DOCKER_HUB_KEY if domain == DOCKER_HUB else domain


def _host_of(key: str) -> str:
    """The host of an entry, which older versions wrote as an address."""
    return key.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _ask(helper: str, key: str) -> Credential:
    done = _run(helper, "get", key.encode())
    if done.returncode != 0:
        if _NOT_FOUND in done.stdout.decode(errors="replace"):
            return ANONYMOUS
        raise _helper_failed(helper, "get")
    try:
        answer = msgspec.json.decode(done.stdout, type=dict[str, str])
        username, secret = answer["Username"], answer["Secret"]
    except (msgspec.DecodeError, KeyError) as error:
        raise _helper_failed(helper, "get") from error
    if username == _TOKEN_USER:
        return Credential(identity_token=secret)
    return Credential(username, secret)


def _call(helper: str, verb: str, input: bytes) -> None:
    if _run(helper, verb, input).returncode != 0:
        raise _helper_failed(helper, verb)


def _run(helper: str, verb: str, input: bytes) -> subprocess.CompletedProcess[bytes]:
    if "/" in helper:
        raise RegistryError(f'"{helper}" is no name of a credential helper')
    program = shutil.which(f"docker-credential-{helper}")
    if program is None:
        raise RegistryError(
            f"docker-credential-{helper}, which Docker's config.json names, is not installed. "
            "Install it, or take credsStore or credHelpers out of that file."
        )
    try:
        return subprocess.run(
            [program, verb], input=input, capture_output=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _helper_failed(helper, verb) from error


def _helper_failed(helper: str, verb: str) -> RegistryError:
    # What it printed is not repeated: the secret may be in it.
    return RegistryError(
        f"docker-credential-{helper} {verb} failed. Try it by hand, and see its documentation."
    )
