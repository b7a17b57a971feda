"""The output of strace(1), as records of what was done.

A line is ``PID TIME NAME(ARGUMENTS) = RESULT <SECONDS>``. Where another process comes between, it
is in two pieces: the first ends in ``<unfinished ...>``, and the second begins with ``<... NAME
resumed>``. Calls that failed did nothing, and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from cellcrate_runtime.engine.tracing.arguments import Call
from cellcrate_runtime.engine.tracing.conversions import CONVERSIONS
from cellcrate_runtime.engine.tracing.descriptors import Descriptors
from cellcrate_runtime.linux.recording import Record

__all__ = ["NAMES", "records"]

# Which calls strace shows: what is understood, and what is needed to know whose descriptor is what.
_TAKEN_NOTE_OF: dict[str, Callable[[Descriptors, Call], None]] = {
    "openat": Descriptors.opened,
    "openat2": Descriptors.opened,
    "dup2": Descriptors.opened,
    "dup3": Descriptors.opened,
    "recvmsg": Descriptors.received,
    "sendmsg": Descriptors.sent,
    "fchdir": Descriptors.went,
    "chdir": Descriptors.went,
    "fsopen": Descriptors.opened_context,
    "fsconfig": Descriptors.configured,
    "clone": Descriptors.made,
    "clone3": Descriptors.made,
}
NAMES = tuple(dict.fromkeys((*CONVERSIONS, *_TAKEN_NOTE_OF)))

_LINE = re.compile(r"(\d+) +(\d+\.\d+) (.*)$")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>")
_UNFINISHED = " <unfinished ...>"
_CALL = re.compile(
    r"(\w+)\((.*)\)\s+= (-?\w+|\?)(?:<(.*?)>)?(?: \(.*\))?(?: <(\d+\.\d+)>)?$", re.DOTALL
)


@dataclass
class _Begun:
    text: str
    moment: float


def records(output: str, *, by: str, offset: int, places: Mapping[str, str]) -> list[Record]:
    """Return what a program and its descendants did.

    Args:
        output: What strace said.
        by: What they are called.
        offset: What has to be added to strace's clock for that of records, in nanoseconds.
        places: What folders of the host show: the container's root is ``/``.
    """
    descriptors = Descriptors(places)
    found = []
    for call in _calls(output):
        if call.name in _TAKEN_NOTE_OF:
            _TAKEN_NOTE_OF[call.name](descriptors, call)
        if call.name in CONVERSIONS:
            for name, values in CONVERSIONS[call.name](call, descriptors):
                moment = int(call.moment * 1e9) + offset
                found.append(Record(moment, by, name, values))
    return found


def _calls(output: str) -> Iterator[Call]:
    """The calls that succeeded, each at the moment when it was done."""
    begun: dict[str, _Begun] = {}
    for line in output.splitlines():
        whole = _LINE.match(line)
        if whole is None:
            continue
        pid, moment, text = whole[1], float(whole[2]), whole[3]
        if text.endswith(_UNFINISHED):
            begun[pid] = _Begun(text.removesuffix(_UNFINISHED), moment)
            continue
        if resumed := _RESUMED.match(text):
            earlier = begun.pop(pid, None)
            if earlier is None:
                continue
            text, moment = earlier.text + text[resumed.end() :], earlier.moment
        parts = _CALL.match(text)
        if parts is None or parts[1] not in NAMES or not parts[3].isdigit():
            continue
        yield Call(
            pid=int(pid),
            name=parts[1],
            text=parts[2],
            result=int(parts[3]),
            path=parts[4] or "",
            moment=moment + float(parts[5] or 0),
        )
