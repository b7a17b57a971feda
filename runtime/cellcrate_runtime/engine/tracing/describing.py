"""Records in words: what each is about, and what was done."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cellcrate_runtime.engine.tracing import words
from cellcrate_runtime.engine.tracing.document import Step, Subject
from cellcrate_runtime.engine.tracing.files import Written
from cellcrate_runtime.engine.tracing.mounting import OLD_ROOT, Mounting
from cellcrate_runtime.linux import capabilities
from cellcrate_runtime.linux.recording import Record

__all__ = ["describe"]

_Said = tuple[Subject, str, str]
# Calls that follow each other and together say one thing.
_TOGETHER = frozenset({"capbset_drop", "cap_ambient"})
_SETS = ("permitted", "effective", "inheritable")  # of capset(2)
# Of containers and layers; a dozen digits are what Docker shows of them.
_LONG_ID = re.compile(r"\b[0-9a-f]{64}\b")
_SHORT = 12


def describe(
    records: Iterable[Record], *, begin: int, cgroup: str, places: Mapping[str, str]
) -> list[Step]:
    """Return the steps that records tell of, in their order.

    Args:
        records: What was done, in order.
        begin: When the start began, in nanoseconds of CLOCK_MONOTONIC.
        cgroup: The container's control group, below the top of its trees; left out of names of
            control files, so that those of two containers are the same.
        places: What folders of the host show: the container's root is ``/``.
    """
    narrator = _Narrator(cgroup, places)
    steps: list[Step] = []
    for record in records:
        said = narrator.say(record)
        if place := narrator.taken_aside():  # the last step was in the host's root, not here
            steps[-1].target = f"{OLD_ROOT}{place}"
        for subject, target, detail in said:
            time = round((record.time - begin) / 1e6, 3)
            step = Step(
                time=time,
                by=record.by,
                call=record.call,
                subject=subject,
                target=_LONG_ID.sub(_shortened, target),
                detail=_LONG_ID.sub(_shortened, detail),
            )
            if steps and _continues(steps[-1], step):
                steps[
                    -1
                ].detail += f", {step.detail.removeprefix('without ').removeprefix('with ')}"
            else:
                steps.append(step)
    return steps


def _shortened(found: re.Match[str]) -> str:
    return found[0][:_SHORT]


def _continues(last: Step, step: Step) -> bool:
    """Whether a step is one more of what the last one is the first of."""
    same = (last.by, last.call, last.target) == (step.by, step.call, step.target)
    return same and (step.call in _TOGETHER or step.target.startswith("devices/devices."))


class _Narrator:
    """Says what each record is; some of them only make sense after others."""

    def __init__(self, cgroup: str, places: Mapping[str, str]) -> None:
        self._mounting = Mounting(places)
        self._written = Written(cgroup)
        self._ways: dict[str, Callable[[dict[str, Any]], list[_Said]]] = {
            "unshare": lambda v: _made(v["flags"]),
            "clone": lambda v: _made(v["flags"]),
            "clone3": lambda v: _made(v["flags"]),
            "setns": _joined,
            "sethostname": lambda v: [("namespaces", "host name", v["name"])],
            "setdomainname": lambda v: [("namespaces", "domain name", v["name"])],
            "write": lambda v: self._written.say(v["file"], v["value"]),
            "mkdir": lambda v: self._written.say_made(v["target"]),
            "bpf": lambda v: self._written.say_decided(v["target"]),
            "mknod": lambda v: [("devices", self._mounting.place(v["target"]), _node(v))],
            "capbset_drop": lambda v: [("rights", "bounding set", f"without {_name(v)}")],
            "cap_ambient": lambda v: [("rights", "ambient set", f"with {_name(v)}")],
            "capset": _sets,
            "setgroups": lambda v: [("rights", "groups", _numbers(v["groups"]))],
            "setresuid": lambda v: [("rights", "user", str(v["id"]))],
            "setresgid": lambda v: [("rights", "group", str(v["id"]))],
            "no_new_privs": lambda _: [("rights", "no_new_privs", "set")],
            "keyring": lambda _: [("rights", "session keyring", "new")],
            "seccomp": lambda v: [("rights", "seccomp filter", _loaded(v))],
            "prlimit64": lambda v: [("rights", v["resource"], _limit(v))],
            "execve": lambda v: [("program", v["target"], shlex.join(v["arguments"]))],
        }

    def taken_aside(self) -> str:
        return self._mounting.taken_aside()

    def say(self, record: Record) -> list[_Said]:
        way = self._ways.get(record.call)
        if way is None:
            return self._mounting.say(record.call, record.values)
        return way(record.values)


def _made(flags: int) -> list[_Said]:
    return [("namespaces", type_, "new") for type_ in words.namespace_types(flags)]


def _joined(values: dict[str, Any]) -> list[_Said]:
    types = words.namespace_types(values["flags"])
    return [("namespaces", type_, f"joined: {values['target']}") for type_ in types]


def _node(values: dict[str, Any]) -> str:
    kind = {"b": "block", "p": "pipe"}.get(values["type"], "character")
    return f"{kind} {values['major']}:{values['minor']}, mode {values['mode']:03o}"


def _name(values: dict[str, Any]) -> str:
    number: int = values["capability"]
    known = number < len(capabilities.NAMES)
    return capabilities.NAMES[number].removeprefix("CAP_") if known else str(number)


def _sets(values: dict[str, Any]) -> list[_Said]:
    names = {name: words.capability_names(values[name]) for name in _SETS}
    if names["permitted"] == names["effective"]:
        said = f"permitted and effective: {names['effective']}"
    else:
        said = f"permitted: {names['permitted']}; effective: {names['effective']}"
    return [("rights", "capabilities", f"{said}; inheritable: {names['inheritable']}")]


def _numbers(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"


def _loaded(values: dict[str, Any]) -> str:
    length = values["instructions"]
    return f"loaded, {length} instructions" if length else "loaded"


def _limit(values: dict[str, Any]) -> str:
    soft, hard = ("unlimited" if values[n] < 0 else str(values[n]) for n in ("soft", "hard"))
    return soft if soft == hard else f"{soft}, at most {hard}"
