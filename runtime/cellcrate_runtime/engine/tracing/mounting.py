"""What was mounted where, told from calls of mount(2) and of the newer ones that work in parts."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cellcrate_runtime.engine.tracing import words
from cellcrate_runtime.engine.tracing.document import Subject
from cellcrate_runtime.linux import mounts

__all__ = ["OLD_ROOT", "Mounting"]

_Said = tuple[Subject, str, str]
_PROPAGATION = mounts.MS_SHARED | mounts.MS_SLAVE | mounts.MS_PRIVATE | mounts.MS_UNBINDABLE
# Where a mount that lets nothing be seen is there to hide (runtime-spec, maskedPaths).
_HIDDEN_BELOW = ("/proc/", "/sys/")
OLD_ROOT = "old root"


@dataclass
class _Tree:
    """A mount without a place, and what is known of it."""

    source: str
    what: str
    options: list[str] = field(default_factory=list)


class Mounting:
    """Says what was mounted; remembers what a mount without a place is until it gets one.

    Args:
        places: What folders of the host show: the container's root is ``/``.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = sorted(places.items(), key=lambda item: -len(item[0]))
        self._trees: dict[int, _Tree] = {}
        self._empty: set[str] = set()
        self._just_placed: tuple[str, _Tree] | None = None
        self._aside = ""
        self._subjects: dict[str, Subject] = {}  # of what is mounted, where it is not "mounts"
        self._pivoted = False
        self._ways: dict[str, Callable[[dict[str, Any]], list[_Said]]] = {
            "mount": self._mount,
            "open_tree": self._open_tree,
            "fsmount": self._fsmount,
            "mount_setattr": self._set_attributes,
            "move_mount": self._move,
            "umount2": lambda v: [self._about(self.place(v["target"]), "unmounted")],
            "pivot_root": self._pivot,
            "chroot": lambda v: [("mounts", "root", "entered by chroot")],
        }

    def say(self, call: str, values: dict[str, Any]) -> list[_Said]:
        """Return what a call did, if that can be said yet."""
        if call != "mount_setattr":
            self._aside = ""
        if call not in ("open_tree", "move_mount"):
            self._just_placed = None
        return self._ways[call](values)

    def taken_aside(self) -> str:
        """Return the place from which a mount was just copied that has been put there for it."""
        return self._aside

    def place(self, path: str) -> str:
        """Return a path as the container will see it."""
        if path == ".":
            return OLD_ROOT if self._pivoted else path
        for folder, shown in self._places:
            if path == folder or path.startswith(f"{folder}/"):
                return os.path.normpath(f"{shown}/{path[len(folder) :]}").replace("//", "/")
        return path

    def _mount(self, values: dict[str, Any]) -> list[_Said]:
        flags: int = values["flags"]
        target = self.place(values["target"])
        source = self.place(values["source"])
        options = words.mount_flags(flags)
        if flags & mounts.MS_REMOUNT:
            return [self._changed(target, options)]
        if flags & mounts.MS_BIND:
            recursive = bool(flags & mounts.MS_REC)
            return [self._bound(source, target, options, recursive=recursive)]
        if flags & _PROPAGATION:
            word = words.propagation(flags, recursive=bool(flags & mounts.MS_REC))
            return [self._about(target, f"propagation {word}")]
        options += [word for word in values["data"].split(",") if word]
        if _hides(values["type"], target, options):
            self._empty.add(target)
            return [self._protected(target, _with("hidden by an empty tmpfs", options))]
        return [("mounts", target, _with(values["type"], options))]

    def _open_tree(self, values: dict[str, Any]) -> list[_Said]:
        source = self.place(values["source"])
        if self._just_placed is not None and self._just_placed[0] == source:
            # A mount is put aside to be copied; see linux.mounts.attach_as_newest.
            self._aside, original = self._just_placed
            self._trees[values["tree"]] = replace(original, options=list(original.options))
            return []
        self._trees[values["tree"]] = _Tree(source, "rbind" if values["recursive"] else "bind")
        return []

    def _fsmount(self, values: dict[str, Any]) -> list[_Said]:
        options = [*words.attributes(values["attributes"]), *values["data"]]
        self._trees[values["tree"]] = _Tree("", values["type"], options)
        return []

    def _set_attributes(self, values: dict[str, Any]) -> list[_Said]:
        options = words.attributes(values["set"])
        options += [f"not {word}" for word in words.attributes(values["clear"] & ~values["set"])]
        word = words.propagation(values["propagation"], recursive=bool(values["recursive"]))
        tree = self._trees.get(values["tree"])
        if tree is not None and values["target"] == "/":  # it has no place yet
            tree.options += [option for option in options if option not in tree.options]
            return []
        if word:
            options.append(f"propagation {word}")
        if values["target"] == self._aside:
            return [("mounts", f"{OLD_ROOT}{self._aside}", f"changed to {', '.join(options)}")]
        return [self._changed(self.place(values["target"]), options)]

    def _move(self, values: dict[str, Any]) -> list[_Said]:
        target = self.place(values["target"])
        tree = self._trees.pop(values["tree"], None)
        if tree is None:
            return [("mounts", target, "a mount moved here")]
        self._just_placed = (target, tree) if target != "/" else None
        if tree.what in ("bind", "rbind"):
            return [self._bound(tree.source, target, tree.options, recursive=tree.what == "rbind")]
        return [("mounts", target, _with(tree.what, tree.options))]

    def _pivot(self, _: dict[str, Any]) -> list[_Said]:
        self._pivoted = True
        return [("mounts", "root", "entered by pivot_root")]

    def _bound(self, source: str, target: str, options: list[str], *, recursive: bool) -> _Said:
        if source == target and target.startswith(_HIDDEN_BELOW):
            return self._protected(target, _with("mounted over itself", options))
        if source == "/dev/null" and not target.startswith("/dev/"):
            return self._protected(target, "hidden by /dev/null")
        if source in self._empty and target.startswith(_HIDDEN_BELOW):
            return self._protected(target, f"hidden by the empty tmpfs of {source}")
        if target.startswith("/dev/") and re.match(r"/dev/[^/]+$", source):
            self._subjects[target] = "devices"
            return ("devices", target, f"the host's {source}")
        if source == target == "/":
            return ("mounts", target, _with("the container's root, as a mount of its own", options))
        if source == "/":
            source = "the container's root"
        what = f"{'rbind' if recursive else 'bind'} of {source}"
        return ("mounts", target, _with(what, options))

    def _protected(self, target: str, detail: str) -> _Said:
        self._subjects[target] = "protected paths"
        return ("protected paths", target, detail)

    def _about(self, target: str, detail: str) -> _Said:
        return (self._subjects.get(target, "mounts"), target, detail)

    def _changed(self, target: str, options: list[str]) -> _Said:
        return self._about(target, f"changed to {', '.join(options) or 'the default'}")


def _hides(type_: str, target: str, options: list[str]) -> bool:
    nothing_in_it = "ro" in options or "size=0k" in options
    return type_ == "tmpfs" and nothing_in_it and target.startswith(_HIDDEN_BELOW)


def _with(what: str, options: list[str]) -> str:
    return f"{what}: {', '.join(options)}" if options else what
