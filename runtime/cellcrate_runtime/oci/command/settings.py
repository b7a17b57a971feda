"""What the options before the command say, for every command."""

from __future__ import annotations

import os

from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.errors import CommandError, UsageError
from cellcrate_runtime.oci.command.reporting import Reporter

__all__ = ["Settings"]

_MANAGERS = ("cgroupfs", "systemd", "disabled")


class Settings:
    """Where the state is, how control groups are made, and who is told of errors."""

    __slots__ = ("cgroup_manager", "reporter", "root", "root_is_given")

    def __init__(
        self, root: str, cgroup_manager: str, reporter: Reporter, *, root_is_given: bool = False
    ) -> None:
        self.root = root
        self.root_is_given = root_is_given
        self.cgroup_manager = cgroup_manager
        self.reporter = reporter

    @classmethod
    def of(cls, options: Arguments, reporter: Reporter) -> Settings:
        """As the options of the command line ask."""
        manager = options.text("cgroup-manager", "cgroupfs")
        if manager not in _MANAGERS:
            raise UsageError(f"--cgroup-manager: {manager!r} is none of {', '.join(_MANAGERS)}")
        if options.has("systemd-cgroup"):
            manager = "systemd"
        given = options.text("root")
        root = os.path.abspath(given or _default_root())
        return cls(root, manager, reporter, root_is_given=bool(given))


def _default_root() -> str:
    """``/run/cellcrate-oci``; the user's own folder for ordinary users, and their namespaces."""
    own = os.environ.get("XDG_RUNTIME_DIR")
    if own and (os.geteuid() != 0 or _is_mapped()):
        return f"{own}/cellcrate-oci"
    if os.geteuid() != 0:
        return _own_folder(f"/tmp/cellcrate-oci-{os.geteuid()}")
    return "/run/cellcrate-oci"


def _own_folder(path: str) -> str:
    """A folder in a place where anybody could have made one of this name."""
    try:
        owner = os.lstat(path).st_uid
    except FileNotFoundError:
        return path
    if owner != os.geteuid():
        raise CommandError(f"{path} belongs to another user; name a folder of yours with --root")
    return path


def _is_mapped() -> bool:
    """Whether this process is in a user namespace, where root is somebody else outside."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return file.readline().split() != ["0", "0", "4294967295"]
