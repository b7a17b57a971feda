"""A control group: the processes of one container, and what they may take.

A :class:`Cgroup` has a directory in the v2 tree, where there is one, and in the v1 tree of each
controller that its limits and statistics need. Each controller lives in one of them alone.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Collection, Mapping
from contextlib import suppress

from . import files, oom, tree
from .controllers import V1, V2, Controller, controllers_for, controllers_mentioned
from .errors import CgroupBusyError, CgroupError, CgroupNotFoundError, refusal
from .hierarchy import Hierarchy, hierarchy
from .pressure import RESOURCES, Pressure, parse
from .resources import Resources
from .stats import CgroupStats
from .v1 import cpuset, freezer

__all__ = ["UNIFIED", "Cgroup", "tidy"]

UNIFIED = ""
"""The key of the v2 tree's directory in :attr:`Cgroup.directories`."""

# Made for every group, because a container's statistics need them.
_ALWAYS = ("cpu", "memory", "pids", "io")
# What the v2 tree does without a controller, and v1 needs one for.
_WITHOUT_UNIFIED = ("cpuacct", "freezer")


class Cgroup:
    """One control group; make it with :meth:`create`, find it again with :meth:`open`."""

    __slots__ = ("directories", "path")

    def __init__(self, path: str, directories: Mapping[str, str]) -> None:
        self.path = path
        """Below the tree's top or the delegated root, such as ``/cellcrate/1234``."""
        self.directories = dict(directories)
        """The directory of each controller in a v1 tree, and of the v2 tree under ''.

        ``Cgroup(path, directories)`` finds the group again in a process that sees other roots,
        such as an engine that was started anew elsewhere.
        """

    unit = ""
    """The unit of systemd that it is, if it is one: a :class:`~.scope.Scope`."""

    # Making and finding

    @classmethod
    def create(
        cls, path: str, resources: Resources | None = None, controllers: Collection[str] = ()
    ) -> Cgroup:
        """Make a group with limits.

        Args:
            path: Below the tree's top or the delegated root.
            resources: The limits.
            controllers: What limits may be given later for; where there is none, there is none.

        Raises:
            ControllerUnavailableError: A limit cannot be set here, or no group can be made.
            LimitRefusedError: The kernel does not take a value.
            CgroupError: The group could not be made for another reason.
            Nothing is left behind.
        """
        tree.check_path(path)
        resources = resources or Resources()
        found = hierarchy()
        needed = controllers_for(resources)
        for controller in needed:
            found.require(controller)
        if not found.writable:
            raise found.unavailable("control group")
        later = {*controllers, *(["devices"] if resources.devices else [])}
        needed += [controller for controller in later if found.has(controller)]
        group = cls(path, {})
        try:
            group._make(found, needed)
            group.apply(resources)
        except BaseException:
            group.delete()
            raise
        return group

    @classmethod
    def open(cls, path: str) -> Cgroup:
        """Find a group that was made with :meth:`create`.

        Raises:
            CgroupNotFoundError: There is none of this path.
        """
        tree.check_path(path)
        found = hierarchy()
        directories = {}
        if found.unified is not None and os.path.isdir(found.unified + path):
            directories[UNIFIED] = found.unified + path
        for name, place in found.controllers.items():
            if place.version == 1 and os.path.isdir(place.root + path):
                directories[name] = place.root + path
        if not directories:
            raise CgroupNotFoundError(f"There is no control group {path}.")
        return cls(path, directories)

    def find_by(self, pid: int) -> None:
        """Find out what is known only when a first process has been added: nothing, here."""

    def _make(self, found: Hierarchy, needed: list[str]) -> None:
        """Make the directories, noting each at once, so that a failure can take it back."""
        names = dict.fromkeys((*_ALWAYS, *needed))
        if found.unified is None:
            names.update(dict.fromkeys(_WITHOUT_UNIFIED))
        else:
            self.directories[UNIFIED] = tree.make(found.unified, self.path)
            wanted = [n for n in names if n in found.controllers and n != "devices"]
            wanted = [n for n in wanted if found.controllers[n].version == 2]
            tree.hand_down(found.unified, self.path, wanted)
        for name in names:
            place = found.controllers.get(name)
            if place is not None and place.version == 1 and place.writable:
                self._make_v1(name, place.root)

    def _make_v1(self, name: str, root: str) -> None:
        directory = tree.make(root, self.path)
        self.directories[name] = directory
        if name == "cpuset":
            cpuset.prepare(root, directory)

    # Limits

    def apply(self, resources: Resources) -> None:
        """Set limits, at the start or while the group runs; the others stay as they are.

        Raises:
            ControllerUnavailableError: A limit cannot be set here.
            LimitRefusedError: The kernel does not take a value.
        """
        found = hierarchy()
        needed = controllers_for(resources)
        for name in controllers_mentioned(resources):
            if name not in needed and not found.has(name) and not self._has_unified(name):
                continue  # a limit goes away that cannot be there
            controller, directory = self._controller(name)
            try:
                controller.apply(directory, resources)
            except OSError as error:
                raise refusal(error, directory) from error
        if resources.unified:
            self._apply_unified(resources.unified)

    def _controller(self, name: str) -> tuple[Controller, str]:
        """Return a controller and its directory, making one that the group did not need before."""
        if name in self.directories:
            return V1[name], self.directories[name]
        if self._has_unified(name):
            return V2[name], self.directories[UNIFIED]
        place = hierarchy().require(name)
        if place.version == 2:
            unified = self.directories[UNIFIED]
            if name not in ("devices", *_ALWAYS):
                tree.hand_down(place.root, self.path, [name])
            return V2[name], unified
        pids = self.procs()
        self._make_v1(name, place.root)
        for pid in pids:
            try:
                files.write(self.directories[name], "cgroup.procs", pid)
            except ProcessLookupError:
                continue
        return V1[name], self.directories[name]

    def _has_unified(self, name: str) -> bool:
        """Whether the group has a controller of the v2 tree already, wherever the group is."""
        unified = self.directories.get(UNIFIED)
        return unified is not None and name in tree.controllers(unified)

    def _apply_unified(self, settings: Mapping[str, str]) -> None:
        """Write files of the v2 tree, as ``linux.resources.unified`` of the OCI spec asks."""
        directory = self.directories.get(UNIFIED)
        for name, value in settings.items():
            if "/" in name or "." not in name:
                raise CgroupError(f"{name!r} is not the name of a control file.")
            controller = name.partition(".")[0]
            if directory is not None and not os.path.exists(f"{directory}/{name}"):
                self._hand_down(controller)
            if directory is None or not os.path.exists(f"{directory}/{name}"):
                raise hierarchy().without_file(name)
            try:
                for line in value.splitlines() or [""]:
                    files.write(directory, name, line)
            except OSError as error:
                raise refusal(error, directory) from error

    def _hand_down(self, controller: str) -> None:
        """Have a controller of the v2 tree in this group, if the tree has it."""
        place = hierarchy().controllers.get(controller)
        if place is not None and place.version == 2 and place.writable:
            tree.hand_down(place.root, self.path, [controller])

    # Processes

    def add(self, pid: int, *, cloned_into: bool = False) -> None:
        """Move a process, with all of its threads, into the group.

        ``cloned_into``: it was made with CLONE_INTO_CGROUP and :meth:`fd`, so that it is in the
        v2 tree's group already.

        Raises:
            CgroupError: The process has ended, or the kernel refuses.
        """
        unified = self.directories.get(UNIFIED) if cloned_into else None
        try:
            # Two v1 controllers may share one tree, as cpu and cpuacct often do.
            for directory in dict.fromkeys(self.directories.values()):
                if directory != unified:
                    files.write(directory, "cgroup.procs", pid)
        except OSError as error:
            reason = "it has ended" if error.errno == errno.ESRCH else error.strerror
            raise CgroupError(f"Process {pid} cannot join {self.path}: {reason}.") from error

    def procs(self) -> list[int]:
        """Return the processes of the group and of the groups below it, by their host's ids."""
        for directory in self.directories.values():
            return tree.processes(directory)
        return []

    def fd(self) -> int | None:
        """Open the v2 tree's directory for CLONE_INTO_CGROUP; None where there is no v2 tree.

        The caller closes it.
        """
        directory = self.directories.get(UNIFIED)
        if directory is None:
            return None
        return os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    # What it uses

    def stats(self) -> CgroupStats:
        """Read what the group has used.

        Raises:
            CgroupNotFoundError: The group is gone.
        """
        stats = CgroupStats()
        unified = self.directories.get(UNIFIED)
        try:
            if unified is not None:
                V2["cpu"].read(unified, stats)
                for name in tree.controllers(unified):
                    if name in V2 and name != "cpu":
                        V2[name].read(unified, stats)
            for name, directory in self.directories.items():
                if name != UNIFIED:
                    V1[name].read(directory, stats)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise
            raise CgroupNotFoundError(f"The control group {self.path} is gone.") from error
        return stats

    def pressure(self) -> dict[str, Pressure] | None:
        """Return for how long the group's tasks waited for ``cpu``, ``memory`` and ``io``.

        None where nobody counts it: it takes a v2 tree and a kernel with CONFIG_PSI.
        """
        directory = self.directories.get(UNIFIED)
        if directory is None:
            return None
        try:
            return {name: parse(files.read(directory, f"{name}.pressure")) for name in RESOURCES}
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EOPNOTSUPP):
                return None
            raise

    def oom_kills(self) -> int:
        """Return how many processes the out-of-memory killer ended; 0 without the controller."""
        try:
            if "memory" in self.directories:
                return oom.kills(self.directories["memory"], 1)
            if UNIFIED in self.directories:
                return oom.kills(self.directories[UNIFIED], 2)
        except FileNotFoundError:
            pass
        return 0

    def oom_watch(self) -> oom.OomWatch | None:
        """Watch for kills by the out-of-memory killer; None without the memory controller."""
        try:
            if "memory" in self.directories:
                return oom.watch_v1(self.directories["memory"])
            if UNIFIED in self.directories:
                return oom.watch_v2(self.directories[UNIFIED])
        except FileNotFoundError:
            pass
        return None

    # Stopping

    def freeze(self, timeout: float = 5.0) -> None:
        """Stop all processes and wait (seconds) until they stand still.

        Raises:
            CgroupBusyError: They did not in time; they have been let go on.
            ControllerUnavailableError: There is nothing here to freeze with.
        """
        if UNIFIED in self.directories:
            tree.freeze(self.directories[UNIFIED], timeout)
        elif "freezer" in self.directories:
            freezer.freeze(self.directories["freezer"], timeout)
        else:
            raise hierarchy().unavailable("freezer")

    def thaw(self) -> None:
        """Let the processes go on."""
        if UNIFIED in self.directories:
            files.write(self.directories[UNIFIED], "cgroup.freeze", 0)
        elif "freezer" in self.directories:
            freezer.thaw(self.directories["freezer"])

    @property
    def frozen(self) -> bool:
        """Whether the processes are stopped by :meth:`freeze`."""
        if UNIFIED in self.directories:
            return tree.frozen(self.directories[UNIFIED])
        return "freezer" in self.directories and freezer.frozen(self.directories["freezer"])

    def kill(self, timeout: float = 5.0) -> None:
        """End all processes, frozen ones too, with SIGKILL.

        Returns when the signals are on their way; a process leaves the group when it has died.

        Raises:
            CgroupBusyError: Processes kept appearing until the timeout (seconds).
        """
        unified = self.directories.get(UNIFIED)
        if unified is not None:
            try:
                files.write(unified, "cgroup.kill", 1)  # since Linux 5.14
                return
            except FileNotFoundError:
                pass
        self._kill_one_by_one(timeout)

    def _kill_one_by_one(self, timeout: float) -> None:
        """Hold the processes still, so that none forks away, and signal each."""
        deadline = time.monotonic() + timeout
        while pids := self.procs():
            if time.monotonic() > deadline:
                raise CgroupBusyError(f"Processes of {self.path} cannot be killed: {pids}")
            try:
                self.freeze(timeout=0.5)
                pids = self.procs()
            except CgroupError:
                pass  # no freezer: repeat until a round finds nobody
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self.thaw()
            time.sleep(0.001)

    def delete(self, timeout: float = 2.0) -> None:
        """Remove the group and those below it; that it is gone already is fine.

        Raises:
            CgroupBusyError: Processes were still in it after the timeout (seconds).
        """
        deadline = time.monotonic() + timeout
        for name, directory in list(self.directories.items()):
            tree.remove(directory, deadline)
            del self.directories[name]


def tidy(path: str) -> None:
    """Remove the empty group above those of containers (``/cellcrate``), when an engine leaves.

    It is left alone where groups are below it. Until then it stays, so that the next container's
    group is quickly made.
    """
    tree.check_path(path)
    found = hierarchy()
    roots = {place.root for place in found.controllers.values() if place.version == 1}
    for root in {*roots, found.unified or ""} - {""}:
        with suppress(OSError):
            os.rmdir(root + path)
