"""Ping, version, info and disk usage."""

from __future__ import annotations

import uuid
from typing import Any

from cellcrate_runtime.engine import machine_facts
from cellcrate_runtime.engine.api.app import API_VERSION, MIN_API_VERSION, Handler, Route
from cellcrate_runtime.engine.container import Status
from cellcrate_runtime.engine.runtimes import EMBEDDED
from cellcrate_runtime.version import own_version

__all__ = ["routes"]

_PAUSED = (Status.PAUSED,)
_RUNNING = (Status.RUNNING, Status.RESTARTING)


class Ping(Handler):
    """``GET`` and ``HEAD /_ping``: is anybody there, and with which version?"""

    def get(self) -> None:
        """Answer."""
        self._headers_of_ping()
        self.finish(b"OK")

    def head(self) -> None:
        """Answer with the headers alone."""
        self._headers_of_ping()
        self.finish()

    def _headers_of_ping(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Cache-Control", "no-cache, no-store, must-revalidate")
        self.set_header("Pragma", "no-cache")
        self.set_header("Builder-Version", "1")
        self.set_header("Swarm", "inactive")


class Version(Handler):
    """``GET /version``."""

    def get(self) -> None:
        """Describe the engine."""
        newest, oldest = (".".join(map(str, v)) for v in (API_VERSION, MIN_API_VERSION))
        self.write_json(machine_facts.version(newest, oldest))


class Info(Handler):
    """``GET /info``."""

    async def get(self) -> None:
        """Describe the engine, the computer, and what containers can have here."""
        limits = machine_facts.cgroups()
        self.write_json(
            {
                **self._counts(),
                **machine_facts.computer(),
                **limits,
                **self._engine(),
                "Runtimes": await self.engine.runtimes.described(),
                "Warnings": machine_facts.warnings(limits, self.engine.identity.remapping),
            }
        )

    def _counts(self) -> dict[str, int]:
        states = [container.state.status for container in self.engine.containers]
        running = sum(state in _RUNNING for state in states)
        paused = sum(state in _PAUSED for state in states)
        return {
            "Containers": len(states),
            "ContainersRunning": running,
            "ContainersPaused": paused,
            "ContainersStopped": len(states) - running - paused,
            "Images": len(self.engine.images.images()),
        }

    def _engine(self) -> dict[str, Any]:
        return {
            "ID": str(uuid.uuid5(uuid.NAMESPACE_URL, self.engine.paths.data.as_uri())),
            "ServerVersion": own_version(),
            "DockerRootDir": str(self.engine.paths.data),
            "Driver": "overlayfs",
            "DriverStatus": machine_facts.storage(self.engine.identity.remapping),
            "LoggingDriver": "json-file",
            "Plugins": {
                "Volume": [],
                "Network": ["host", "none"],
                "Authorization": None,
                "Log": ["json-file", "none"],
            },
            "DefaultRuntime": EMBEDDED,
            "InitBinary": "",
            "ContainerdCommit": {"ID": "", "Expected": ""},
            "RuncCommit": {"ID": "", "Expected": ""},
            "InitCommit": {"ID": "", "Expected": ""},
            "LiveRestoreEnabled": True,  # containers go on when the engine does not
            "SecurityOptions": machine_facts.security_options(self.engine.identity.remapping),
            "Swarm": {"LocalNodeState": "inactive"},
            "Labels": [],
            "ExperimentalBuild": False,
            "Debug": False,
            "IPv4Forwarding": False,
            "BridgeNfIptables": False,
            "BridgeNfIp6tables": False,
            "IndexServerAddress": "https://index.docker.io/v1/",
            "RegistryConfig": machine_facts.registries(self.engine.paths.data),
            "HttpProxy": "",
            "HttpsProxy": "",
            "NoProxy": "",
        }


def routes() -> list[Route]:
    """Return the paths of this module."""
    return [
        (r"/_ping", Ping, {}),
        (r"/version", Version, {}),
        (r"/info", Info, {}),
    ]
