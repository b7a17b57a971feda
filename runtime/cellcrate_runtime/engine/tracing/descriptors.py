"""What the descriptors of watched processes are, where a call goes by a descriptor."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping

from cellcrate_runtime.engine.tracing import arguments
from cellcrate_runtime.engine.tracing.arguments import Call
from cellcrate_runtime.linux.recording import Value

__all__ = ["Descriptors"]

_OF_A_DESCRIPTOR = re.compile(r"/proc/(?:self|thread-self|\d+)/fd/(\d+)$")
_PASSED = re.compile(r"(\d+)<([^>]*)>")
_FIRST_TREE = 1 << 20  # no process's descriptor, by which our own notes know such mounts


def _passed(call: Call) -> list[tuple[int, str]]:
    rights = call.text.partition("SCM_RIGHTS")[2]
    return [(int(number), path) for number, path in _PASSED.findall(rights)]


class Descriptors:
    """Which file a descriptor of a thread is open on, and where the thread is.

    strace names a file only where a call takes its descriptor as such, and not in a path such as
    ``/proc/self/fd/7``. Threads share descriptors; what a thread has opened itself is remembered,
    since runtimes mount where they have just opened. What is not known stays as it was written.

    Attributes:
        pivoted: Whether somebody has entered the container's root, so that paths are its own.

    Args:
        places: What folders of the host show: the container's root is ``/``.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self.pivoted = False
        self._places = sorted(places.items(), key=lambda item: -len(item[0]))
        self._open: dict[int, dict[int, str]] = {}
        self._folders: dict[int, str] = {}
        self._contexts: dict[tuple[int, int], tuple[str, list[str]]] = {}
        self._trees: dict[int, dict[int, int]] = {}
        self._next_tree = itertools.count(_FIRST_TREE)
        self._in_new: dict[int, list[tuple[dict[str, Value], str]]] = {}
        self._sent: list[int] = []
        self._received: list[tuple[int, int]] = []

    def opened(self, call: Call) -> None:
        """Take note of what a thread has opened."""
        if call.path:
            self._open.setdefault(call.pid, {})[call.result] = call.path

    def attached(self, call: Call, descriptor: str, place: str) -> None:
        """Take note of where a mount, which a thread has open, has been put: move_mount(2).

        What has been made in it before now has a path.
        """
        number = arguments.descriptor(descriptor)[0]
        self._open.setdefault(call.pid, {})[number] = place
        for values, name in self._in_new.get(self.tree(call, descriptor), []):
            values["target"] = f"{place}{name}"

    def new_tree(self, call: Call, original: str = "") -> int:
        """Give a mount without a place, which a call has returned, a number of its own.

        What has been made in the one that it is a copy of is in it, too.
        """
        tree = next(self._next_tree)
        if original:
            self._in_new[tree] = self._in_new.get(self.tree(call, original), [])
        self._trees.setdefault(call.pid, {})[call.result] = tree
        return tree

    def tree(self, call: Call, descriptor: str) -> int:
        """Return the number of such a mount, by a thread's descriptor; -1 for what is none."""
        return self._trees.get(call.pid, {}).get(arguments.descriptor(descriptor)[0], -1)

    def filled(self, call: Call, folder: str, values: dict[str, Value]) -> None:
        """Take note of a record of what was made in a folder, which may be such a mount."""
        tree = self.tree(call, folder)
        if arguments.descriptor(folder)[1] == "/" and tree >= 0:
            self._in_new.setdefault(tree, []).append((values, str(values["target"])))

    def sent(self, call: Call) -> None:
        """Take note of descriptors that are sent to another process: sendmsg(2), SCM_RIGHTS."""
        for number, _ in _passed(call):
            self._sent.append(self._trees.get(call.pid, {}).get(number, -1))
        self._match()

    def received(self, call: Call) -> None:
        """Take note of descriptors that another process has sent: recvmsg(2), SCM_RIGHTS."""
        for number, path in _passed(call):
            self._open.setdefault(call.pid, {})[number] = path
            self._received.append((call.pid, number))
        self._match()

    def _match(self) -> None:
        """What was sent first was received first; strace may say so in the other order."""
        while self._sent and self._received:
            tree = self._sent.pop(0)
            pid, number = self._received.pop(0)
            if tree >= 0:
                self._trees.setdefault(pid, {})[number] = tree

    def made(self, call: Call) -> None:
        """Take note of a new process or thread, which has its maker's descriptors."""
        inherited = self._open.get(call.pid, {})
        self._open[call.result] = {**inherited, **self._open.get(call.result, {})}
        trees = self._trees.get(call.pid, {})
        self._trees[call.result] = {**trees, **self._trees.get(call.result, {})}
        if call.pid in self._folders:
            self._folders.setdefault(call.result, self._folders[call.pid])

    def went(self, call: Call) -> None:
        """Take note of where a thread has gone: fchdir(2), chdir(2)."""
        where = call.arguments[0]
        path = arguments.string(where) or arguments.descriptor(where)[1]
        self._folders[call.pid] = os.path.join(self._folders.get(call.pid, "/"), path)

    def opened_context(self, call: Call) -> None:
        """Take note of a file system in the making: fsopen(2)."""
        self._contexts[call.pid, call.result] = (arguments.string(call.arguments[0]), [])

    def configured(self, call: Call) -> None:
        """Take note of an option of it: fsconfig(2)."""
        context, command, key, value = call.arguments[:4]
        options = self.context(call, context)[1]
        if command == "FSCONFIG_SET_FLAG":
            options.append(arguments.string(key))
        elif command == "FSCONFIG_SET_STRING" and arguments.string(key) != "source":
            options.append(f"{arguments.string(key)}={arguments.string(value)}")

    def context(self, call: Call, descriptor: str) -> tuple[str, list[str]]:
        """Return the type and the options of a file system in the making."""
        number = arguments.descriptor(descriptor)[0]
        return self._contexts.get((call.pid, number), ("a file system", []))

    def path(self, call: Call, path: str) -> str:
        """Return a path as the container will see it."""
        if found := _OF_A_DESCRIPTOR.match(path):
            path = self._open.get(call.pid, {}).get(int(found[1]), path)
        if path == "." and self.pivoted:
            return path  # the old root: both are the working directory for a moment
        if path and not path.startswith("/") and call.pid in self._folders:
            path = os.path.normpath(os.path.join(self._folders[call.pid], path))
        for folder, shown in self._places:
            if path == folder or path.startswith(f"{folder}/"):
                return os.path.normpath(f"{shown}/{path[len(folder) :]}").replace("//", "/")
        return path
