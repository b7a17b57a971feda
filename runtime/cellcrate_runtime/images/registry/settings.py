"""What a user says about registries: which may be used without TLS, and which have mirrors.

The file is ``daemon.json`` of the data folder, with the members that Docker's has. Source: Docker's
dockerd reference, "Daemon configuration file".
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cellcrate_runtime.images.registry.errors import RegistryError

__all__ = ["RegistrySettings"]


class _Configuration(msgspec.Struct, rename="kebab"):
    insecure_registries: list[str] = []
    registry_mirrors: list[str] = []
    max_concurrent_downloads: int = 3
    max_concurrent_uploads: int = 5
    max_download_attempts: int = 5


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """How registries are talked to.

    Attributes:
        insecure: Hosts, ``host:port`` or networks such as ``10.0.0.0/8``, that may be used over
            plain HTTP, and over TLS with any certificate.
        mirrors: Addresses that are asked for images of Docker Hub before it is.
        certificates: Folders with one folder a host, which has its authorities and client keys.
        downloads: So many layers are downloaded at once.
        uploads: So many layers are uploaded at once.
        attempts: So many times something is tried that fails for reasons that may pass.
        patience: Seconds that a registry may be silent.
        pause: Seconds before the second attempt; the pause doubles with each further one.
        chunk: Bytes that are sent in one request of an upload.
    """

    insecure: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()
    certificates: tuple[Path, ...] = ()
    downloads: int = 3
    uploads: int = 5
    attempts: int = 5
    patience: float = 60.0
    pause: float = 0.5
    chunk: int = 64 << 20

    @classmethod
    def read(cls, file: Path) -> RegistrySettings:
        """Read ``daemon.json``; what it does not say, or where there is none, is as in Docker.

        Raises:
            RegistryError: It cannot be understood.
        """
        try:
            read = msgspec.json.decode(file.read_bytes(), type=_Configuration)
        except FileNotFoundError:
            read = _Configuration()
        except (OSError, msgspec.DecodeError) as error:
            raise RegistryError(f"{file} cannot be understood: {error}") from error
        return cls(
            insecure=tuple(read.insecure_registries),
            mirrors=tuple(read.registry_mirrors),
            certificates=_certificate_folders(file.parent),
            downloads=max(1, read.max_concurrent_downloads),
            uploads=max(1, read.max_concurrent_uploads),
            attempts=max(1, read.max_download_attempts),
        )


def _certificate_folders(data: Path) -> tuple[Path, ...]:
    """Where Docker has certificates, as root and rootless, and a folder of our own."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return (Path("/etc/docker/certs.d"), Path(home) / "docker" / "certs.d", data / "certs.d")
