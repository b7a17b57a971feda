"""``%container runtimes``: who can make containers on this machine, and what each of them can do.

Docker has no such command, but its API has the answer: ``Runtimes`` in ``GET /info``, since Docker
27 with each runtime's features document. Source: OCI runtime-spec 1.2, features.md.
"""

from __future__ import annotations

import json
from typing import Any

from cellcrate.commands.command import Command, link
from cellcrate.errors import UsageError
from cellcrate.options import Parsed
from cellcrate.widgets.html import escape
from cellcrate.widgets.table import Markup, Table

__all__ = ["COMMANDS"]

_FEATURES = "org.opencontainers.runtime-spec.features"
_VERSION = "org.cellcrate.runtime.version"
_COLUMNS = ("RUNTIME", "VERSION", "PROGRAM", "OCI", "NAMESPACES", "CGROUPS", "ALSO")
_NAMESPACES = ("cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts")
_SILENT = "-"  # it does not say


def _runtimes(parsed: Parsed) -> Table:
    if parsed.words:
        raise UsageError("%container runtimes stands alone: it lists all of them.")
    info = link().ask(lambda api: api.info())
    default = info.get("DefaultRuntime", "")
    found = sorted((info.get("Runtimes") or {}).items(), key=lambda item: item[0] != default)
    rows = [_row(name, entry or {}, name == default) for name, entry in found]
    for row in rows:
        row[-1] = _on_several_lines(row[-1])
    return Table(_COLUMNS, rows, "the engine does not say")


def _on_several_lines(text: str) -> Markup:
    return Markup(f'<span style="white-space:normal">{escape(text)}</span>', text)


def _row(name: str, entry: dict[str, Any], is_default: bool) -> list[str]:
    status = entry.get("status") or {}
    features = _features(status.get(_FEATURES, ""))
    linux = features.get("linux") or {}
    return [
        f"{name} (default)" if is_default else name,
        str(status.get(_VERSION) or _version(features) or _SILENT),
        " ".join([str(entry.get("path", "")), *(entry.get("runtimeArgs") or [])]),
        _range(features),
        _namespaces(linux.get("namespaces") or []),
        _cgroups(linux.get("cgroup") or {}),
        ", ".join(_also(features, linux)) or _SILENT,
    ]


def _features(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _version(features: dict[str, Any]) -> str:
    """Return the runtime's own version, which it may annotate beside its libraries'."""
    annotations = features.get("annotations") or {}
    own = (key for key in annotations if key.endswith(".version") and "libseccomp" not in key)
    return str(annotations.get(next(own, ""), ""))


def _range(features: dict[str, Any]) -> str:
    oldest, newest = (str(features.get(f"ociVersion{end}") or "") for end in ("Min", "Max"))
    return f"{oldest} to {newest}" if oldest and newest else _SILENT


def _namespaces(known: list[str]) -> str:
    """Return which of Linux's namespaces (namespaces(7)) a runtime makes."""
    missing = [name for name in _NAMESPACES if name not in known]
    if not known:
        return _SILENT
    return f"all but {', '.join(missing)}" if missing else "all"


def _cgroups(cgroup: dict[str, Any]) -> str:
    names = ("v1", "v2", "systemd", "systemdUser", "rdma")
    return ", ".join(name for name in names if cgroup.get(name)) or _SILENT


def _also(features: dict[str, Any], linux: dict[str, Any]) -> list[str]:
    """What a runtime may have or not, in the specification's words."""
    extensions = linux.get("mountExtensions") or {}
    offered = {
        "hooks": features.get("hooks"),
        "seccomp": (linux.get("seccomp") or {}).get("enabled"),
        "AppArmor": (linux.get("apparmor") or {}).get("enabled"),
        "SELinux": (linux.get("selinux") or {}).get("enabled"),
        "Intel RDT": (linux.get("intelRdt") or {}).get("enabled"),
        "id-mapped mounts": (extensions.get("idmap") or {}).get("enabled"),
    }
    return [name for name, has in offered.items() if has]


COMMANDS = (
    Command(
        name="runtimes",
        summary="List the OCI runtimes of the engine, with what each can do.",
        run=_runtimes,
    ),
)
