"""Where Cellcrate keeps its state.

State that must survive lies under the *data* folder; sockets and process ids, which die with the
machine, under the *run* folder. ``CELLCRATE_HOME`` moves both, so that several engines can live
side by side. The defaults follow the XDG Base Directory Specification, and for root the
Filesystem Hierarchy Standard.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Paths"]

# sockaddr_un.sun_path holds 108 bytes, see unix(7). "containers/<64 hex digits>/shim.sock" would
# leave too little for long home folders, so run folders use the short container id.
SHORT_ID = 12


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders and sockets of one engine."""

    data: Path
    run: Path

    @classmethod
    def from_environment(cls) -> Paths:
        """Return the folders that the environment and the user's identity ask for."""
        home = os.environ.get("CELLCRATE_HOME")
        if home:
            root = Path(home).absolute()
            return cls(data=root / "data", run=root / "run")
        if os.geteuid() == 0:
            return cls(data=Path("/var/lib/cellcrate"), run=Path("/run/cellcrate"))
        data_home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        run_home = os.environ.get("XDG_RUNTIME_DIR")
        if run_home and os.access(run_home, os.W_OK):
            run = Path(run_home) / "cellcrate"
        else:
            # No login session (a pod, `su`): a private folder whose name others cannot take from
            # us, because whoever uses it checks its owner and mode first.
            run = Path("/tmp") / f"cellcrate-{os.geteuid()}"
        return cls(data=Path(data_home) / "cellcrate", run=run)

    @property
    def socket(self) -> Path:
        """The unix socket of the Docker Engine API."""
        return self.run / "docker.sock"

    @property
    def images(self) -> Path:
        """The content store: blobs, references and unpacked layers."""
        return self.data / "images"

    @property
    def containers(self) -> Path:
        """One folder a container: its configuration, log, exit status and writable layer."""
        return self.data / "containers"

    def container(self, container_id: str) -> Path:
        """The folder of one container, by its full id."""
        return self.containers / container_id

    def container_run(self, container_id: str) -> Path:
        """The folder of one running container's sockets and process ids."""
        return self.run / "c" / container_id[:SHORT_ID]

    def make(self) -> None:
        """Create the folders, private to the user.

        Raises:
            PermissionError: A folder exists and belongs to somebody else.
        """
        for folder in (self.data, self.run, self.images, self.containers, self.run / "c"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.data, self.run):
            owner = folder.stat().st_uid
            if owner != os.geteuid():
                raise PermissionError(
                    f"{folder} belongs to user {owner}, not to you ({os.geteuid()}). "
                    "Remove it, or set CELLCRATE_HOME to a folder of your own."
                )
            folder.chmod(0o700)
