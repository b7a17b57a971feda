"""What the runtime keeps of a container between commands.

It is written as environments are, ``NAME=value`` after ``NAME=value``, each ended by a zero byte:
reading JSON would take a command such as ``state`` as long as everything else that it does, most of
it for the module's import.
"""

from __future__ import annotations

__all__ = ["Record"]


class Record:
    """What is kept of one container.

    Attributes:
        described: What ``state`` prints that never changes, as JSON, on several lines.
        pid: Its first process.
        start_time: When that began, in the kernel's ticks: with the process id, the name of a
            process that no other one ever has.
        cgroup: The path of its control group; empty without one.
        directories: Where that is in each tree; see :class:`cellcrate_runtime.linux.cgroups.Cgroup`
        own_processes: Whether it has a PID namespace of its own.
        unit: The unit of systemd that its control group is; empty if it is none.
        has_hooks: Whether there are hooks for when it has started or been deleted.
        shared_root: What :class:`cellcrate_runtime.oci.shared_mounts.SharedRoot` needs, if its
            root is mounted for others too.
    """

    __slots__ = (
        "cgroup",
        "described",
        "directories",
        "has_hooks",
        "own_processes",
        "pid",
        "shared_root",
        "start_time",
        "unit",
    )

    def __init__(
        self,
        *,
        described: str,
        pid: int,
        start_time: int,
        cgroup: str = "",
        unit: str = "",
        directories: dict[str, str] | None = None,
        own_processes: bool = True,
        has_hooks: bool = False,
        shared_root: tuple[str, int, str] | None = None,
    ) -> None:
        self.described = described
        self.pid = pid
        self.start_time = start_time
        self.cgroup = cgroup
        self.unit = unit
        self.directories = directories or {}
        self.own_processes = own_processes
        self.has_hooks = has_hooks
        self.shared_root = shared_root

    @classmethod
    def read(cls, written: bytes) -> Record:
        """Read what :meth:`written` has written.

        Raises:
            ValueError, KeyError: It is something else.
        """
        values: dict[str, str] = {}
        directories: dict[str, str] = {}
        for line in written.decode(errors="surrogateescape").split("\0")[:-1]:
            name, _, value = line.partition("=")
            if name.startswith(_DIRECTORY):
                directories[name.removeprefix(_DIRECTORY)] = value
            else:
                values[name] = value
        return cls(
            described=values["described"],
            pid=int(values["pid"]),
            start_time=int(values["start_time"]),
            cgroup=values["cgroup"],
            unit=values["unit"],
            directories=directories,
            own_processes=values["own_processes"] == "True",
            has_hooks=values["has_hooks"] == "True",
            shared_root=_read_root(values),
        )

    def written(self) -> bytes:
        """Everything, in the form of a file."""
        plain = (name for name in self.__slots__ if name not in ("directories", "shared_root"))
        values = {name: getattr(self, name) for name in plain}
        values |= {_DIRECTORY + name: path for name, path in self.directories.items()}
        if self.shared_root is not None:
            values |= dict(zip(_ROOT, self.shared_root, strict=True))
        text = "".join(f"{name}={value}\0" for name, value in values.items())
        return text.encode(errors="surrogateescape")


_DIRECTORY = "directory:"
"""Before the name of a controller, '' for the v2 tree."""

_ROOT = ("shared_root:path", "shared_root:mount", "shared_root:namespace")


def _read_root(values: dict[str, str]) -> tuple[str, int, str] | None:
    if _ROOT[0] not in values:
        return None
    path, mount, namespace = (values[name] for name in _ROOT)
    return path, int(mount), namespace
