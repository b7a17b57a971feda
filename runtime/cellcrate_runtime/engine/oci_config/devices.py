"""``--device`` and ``--device-cgroup-rule``: which devices of the host a container reaches."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cellcrate_runtime.engine.api.types import DeviceMapping
from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.linux.cgroups.resources import DeviceRule
from cellcrate_runtime.oci.device_rules import usual_devices
from cellcrate_runtime.oci.spec import Device

__all__ = ["GivenDevice", "all_devices", "default_rules", "devices", "extra_rules", "rules_for"]

_RULE = re.compile(r"([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})")
# Not devices of the host, or made anew in every container.
_NOT_COPIED = frozenset({"pts", "shm", "fd", "mqueue", "console", "ptmx"})


@dataclass(frozen=True)
class GivenDevice:
    """A device of the host that a container is given.

    Attributes:
        source: Its path on the host.
        node: Its node in the container.
        access: What may be done with it, made of ``r``, ``w`` and ``m``.
    """

    source: str
    node: Device
    access: str = "rwm"


def default_rules(*, privileged: bool) -> list[DeviceRule]:
    """Return the rules that all containers have; ``privileged`` ones reach everything."""
    if privileged:
        return [DeviceRule(allow=True, access="rwm")]
    return [DeviceRule(allow=False, access="rwm"), *usual_devices()]


def extra_rules(texts: Iterable[str]) -> list[DeviceRule]:
    """Understand ``--device-cgroup-rule``.

    Raises:
        BadRequestError: It is not of the form ``c 13:* rwm``.
    """
    rules = []
    for text in texts:
        found = _RULE.fullmatch(text)
        if found is None:
            raise BadRequestError(
                f"invalid device cgroup rule format: '{text}'. Write it as 'c 13:* rwm'"
            )
        kind, major, minor, access = found.groups()
        rules.append(
            DeviceRule(
                allow=True, type=kind, major=_number(major), minor=_number(minor), access=access
            )
        )
    return rules


def _number(text: str) -> int | None:
    return None if text == "*" else int(text)


def devices(mappings: Iterable[DeviceMapping]) -> list[GivenDevice]:
    """Return the devices of ``--device``.

    A folder stands for all devices below it.

    Raises:
        BadRequestError: It does not exist, is no device, or its permissions make no sense.
    """
    found: list[GivenDevice] = []
    for mapping in mappings:
        access = mapping.cgroup_permissions or "rwm"
        if not set(access) <= set("rwm"):
            raise BadRequestError(f"invalid device mode: {access}. It can be made of r, w and m")
        target = mapping.path_in_container or mapping.path_on_host
        if not target.startswith("/"):
            raise BadRequestError(f"{target} is not an absolute path")
        found += _given(Path(mapping.path_on_host), target, access)
    return found


def _given(source: Path, target: str, access: str) -> Iterator[GivenDevice]:
    try:
        status = source.stat()
    except OSError as error:
        raise BadRequestError(
            f'error gathering device information while adding custom device "{source}": '
            f"{(error.strerror or str(error)).lower()}"
        ) from None
    if stat.S_ISDIR(status.st_mode):
        below = sorted(path for path in source.rglob("*") if _is_device(path))
        if not below:
            raise BadRequestError(f"{source} has no device nodes")
        for path in below:
            place = f"{target}/{path.relative_to(source)}"
            yield GivenDevice(str(path), _node(path, place), access)
    elif _is_device(source):
        yield GivenDevice(str(source), _node(source, target), access)
    else:
        raise BadRequestError(f"{source} is not a device node")


def _is_device(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def _node(source: Path, target: str) -> Device:
    status = source.stat()
    return Device(
        path=target,
        type="c" if stat.S_ISCHR(status.st_mode) else "b",
        major=os.major(status.st_rdev),
        minor=os.minor(status.st_rdev),
        file_mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
    )


def rules_for(found: Iterable[GivenDevice]) -> list[DeviceRule]:
    """Return the rules that allow devices."""
    return [
        DeviceRule(
            allow=True,
            type=given.node.type,
            major=given.node.major,
            minor=given.node.minor,
            access=given.access,
        )
        for given in found
    ]


def all_devices() -> list[GivenDevice]:
    """Return all devices of the host, for a privileged container."""
    found = []
    for folder, below, files in os.walk("/dev"):
        if folder == "/dev":
            below[:] = [name for name in below if name not in _NOT_COPIED]
        for name in files:
            path = Path(folder, name)
            if name not in _NOT_COPIED and not path.is_symlink() and _is_device(path):
                found.append(GivenDevice(str(path), _node(path, str(path))))
    return found
