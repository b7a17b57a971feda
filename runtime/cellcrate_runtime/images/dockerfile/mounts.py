"""``RUN --mount=type=cache,target=/root/.cache``: understood and checked.

Source: the reference of the Dockerfile format, "RUN --mount".
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping

from cellcrate_runtime.images.dockerfile.errors import DockerfileError, suggestion
from cellcrate_runtime.images.dockerfile.instructions import Mount

__all__ = ["mount_origin", "parse_mount"]

_KINDS: Mapping[str, frozenset[str]] = {
    "bind": frozenset({"target", "source", "from", "readwrite", "readonly"}),
    "cache": frozenset(
        {"id", "target", "source", "from", "readonly", "readwrite", "sharing", "mode", "uid", "gid"}
    ),
    "tmpfs": frozenset({"target", "size"}),
    "secret": frozenset({"id", "target", "required", "mode", "uid", "gid", "env"}),
}
_OTHER_NAMES = {
    "dst": "target", "destination": "target", "src": "source", "ro": "readonly", "rw": "readwrite"
}  # fmt: skip
_SWITCHES = frozenset({"readonly", "readwrite", "required"})
_SIZE = re.compile(r"(\d+)\s*([kmgt]?)b?", re.IGNORECASE | re.ASCII)


def parse_mount(text: str) -> Mount:
    """Understand one ``--mount``; variables must have been replaced before.

    Raises:
        DockerfileError: Its type or one of its options does not exist or makes no sense.
    """
    options = _options(text)
    kind = options.pop("type", "bind").lower()
    if kind == "ssh":
        raise DockerfileError(
            "RUN --mount=type=ssh is not supported: this builder forwards no SSH agent. "
            "Hand a key over as a secret (--mount=type=secret)"
        )
    if kind not in _KINDS:
        raise DockerfileError(f'unsupported mount type "{kind}"{suggestion(kind, _KINDS)}')
    for name in options:
        if name not in _KINDS[kind]:
            near = suggestion(name, [*_KINDS[kind], *_OTHER_NAMES])
            raise DockerfileError(f"unexpected key '{name}' for mount type '{kind}'{near}")
    return _mount(kind, options)


def mount_origin(text: str) -> str:
    """What a ``--mount`` comes from, as it is written: no variable is replaced there.

    Raises:
        DockerfileError: It is no list of options.
    """
    return _options(text).get("from", "")


def _options(text: str) -> dict[str, str]:
    """Split at commas, which quotes can protect, as in a line of CSV."""
    try:
        [fields] = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        raise DockerfileError(f"failed to parse csv mounts: {error}") from None
    options: dict[str, str] = {}
    for option in fields:
        name, equals, value = option.partition("=")
        name = _OTHER_NAMES.get(name.strip().lower(), name.strip().lower())
        if not equals and name not in _SWITCHES:
            raise DockerfileError(f"invalid field '{option}' must be a key=value pair")
        options[name] = value if equals else "true"
    return options


def _mount(kind: str, options: dict[str, str]) -> Mount:
    target = options.get("target", "")
    if not target and kind != "secret":
        raise DockerfileError(f"a mount of type {kind} needs a target: target=/path")
    sharing = options.get("sharing", "shared").lower()
    if sharing not in ("shared", "private", "locked"):
        raise DockerfileError(
            f'unsupported sharing value "{sharing}". It can be shared, private or locked'
        )
    if kind == "secret" and not (target or options.get("id")):
        raise DockerfileError("a mount of type secret needs an id or a target")
    return Mount(
        kind=kind,  # type: ignore[arg-type]  # one of the keys of _KINDS
        target=target,
        source=options.get("source", ""),
        origin=options.get("from", ""),
        id=options.get("id", ""),
        read_only=_read_only(kind, options),
        sharing=sharing,  # type: ignore[arg-type]  # checked above
        mode=_number(options, "mode", 8),
        uid=_number(options, "uid") or 0,
        gid=_number(options, "gid") or 0,
        size=_size(options.get("size", "")),
        required=_switch(options, "required"),
        variable=options.get("env", ""),
    )


def _read_only(kind: str, options: dict[str, str]) -> bool:
    """A bind cannot be written unless it says so; a cache can."""
    if "readwrite" in options:
        return not _switch(options, "readwrite")
    if "readonly" in options:
        return _switch(options, "readonly")
    return kind == "bind"


def _switch(options: dict[str, str], name: str) -> bool:
    value = options.get(name, "false").lower()
    if value not in ("true", "false", "1", "0"):
        raise DockerfileError(f"invalid value for {name}: {value}. It can be true or false")
    return value in ("true", "1")


def _number(options: dict[str, str], name: str, base: int = 10) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if not 0 <= number < 2**32 or not text.isalnum():
        kind = "an octal number" if base == 8 else "a number"
        raise DockerfileError(f"invalid value {text} for {name}: it must be {kind}")
    return number


def _size(text: str) -> int:
    if not text:
        return 0
    match = _SIZE.fullmatch(text)
    if match is None:
        raise DockerfileError(f"invalid size '{text}': write a number of bytes, or such as 64m")
    return int(match[1]) << {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}[match[2].lower()]
