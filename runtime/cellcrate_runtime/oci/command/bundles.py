"""An OCI bundle: a folder with a ``config.json`` and a root file system."""

from __future__ import annotations

import os
import stat

from cellcrate_runtime.oci import spec as documents
from cellcrate_runtime.oci.command.errors import CommandError
from cellcrate_runtime.oci.spec import Spec

__all__ = ["Bundle", "keeps_groups"]


class Bundle:
    """A bundle that has been read."""

    __slots__ = ("document", "path", "rootfs", "spec")

    def __init__(self, path: str, config: str = "config.json") -> None:
        """Read a bundle.

        Raises:
            CommandError: It has no configuration, or an impossible one, or no root.
        """
        self.path = os.path.abspath(path)
        file = os.path.join(self.path, config)
        try:
            with open(file, "rb") as opened:
                self.document = opened.read()
        except FileNotFoundError:
            raise CommandError(f"JSON specification file {file} not found") from None
        except NotADirectoryError:
            raise CommandError(f"{self.path} is not a folder") from None
        try:
            self.spec: Spec = documents.decode(self.document)
        except documents.InvalidSpecError as error:
            raise CommandError(str(error)) from error
        if self.spec.root is None:
            raise CommandError("config.json: root: there is no root file system")
        self.rootfs = os.path.normpath(os.path.join(self.path, self.spec.root.path))
        if not os.path.isdir(self.rootfs):
            raise CommandError(f"config.json: root.path: {self.rootfs} is not a folder")
        for mount in self.spec.mounts:
            if mount.source and (mount.type == "bind" or {"bind", "rbind"} & set(mount.options)):
                mount.source = os.path.join(self.path, mount.source)
        for device in self.spec.linux.devices if self.spec.linux is not None else []:
            device.path = device.path.rstrip("/")
            if device.file_mode is not None and stat.S_IFMT(device.file_mode):
                # Podman copies the whole st_mode, with the bits that say what it is.
                device.file_mode = stat.S_IMODE(device.file_mode)


def keeps_groups(spec: Spec) -> bool:
    """Whether the container keeps the supplementary groups of who makes it.

    Podman asks for it with ``--group-add keep-groups``: such a group may give access to a folder,
    and a user namespace that does not map it could not name it. Source: crun(1).
    """
    return spec.annotations.get("run.oci.keep_original_groups") == "1"
