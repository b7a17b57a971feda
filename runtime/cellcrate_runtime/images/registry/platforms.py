"""Choosing among an image's variants for different machines.

Names of processors are Go's. A processor runs programs made for its older versions, and some run
those of a smaller kin. Sources: OCI image-spec 1.1, image-index.md, "platform"; the README and the
rules of normalisation and comparison of containerd/platforms (database.go, compare.go).
"""

from __future__ import annotations

import platform
from collections.abc import Sequence

from cellcrate_runtime.images.architecture import machine_architecture
from cellcrate_runtime.images.documents import Descriptor, Platform
from cellcrate_runtime.images.registry.errors import InvalidRequestError, NotInRegistryError

__all__ = ["choose", "fits", "own_platform", "parse_platform", "written"]

# Other names, with the variant that they mean.
_OTHER_NAMES = {
    "i386": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
# The variant that is meant where none is said, and so is not written either.
_USUAL = {"amd64": "v1", "arm": "v7", "arm64": "v8"}
_OF_MACHINES = {"armv6l": "v6", "armv7l": "v7"}


def own_platform() -> Platform:
    """This machine."""
    variant = _OF_MACHINES.get(platform.machine())
    return Platform(os="linux", architecture=machine_architecture(), variant=variant)


def parse_platform(text: str) -> Platform:
    """Read what ``--platform`` has: ``linux/arm64``, ``arm64``, ``linux/arm/v7``.

    Raises:
        InvalidRequestError: It is none, or is of another system than Linux.
    """
    parts = text.lower().split("/")
    if len(parts) == 1:
        parts = ["linux", *parts] if parts != ["linux"] else ["linux", machine_architecture()]
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise InvalidRequestError(
            f'"{text}" is no platform: write OS/ARCHITECTURE[/VARIANT], such as linux/arm64'
        )
    if parts[0] != "linux":
        raise InvalidRequestError(
            f'"{text}" is no platform of this engine: its containers are Linux\'s'
        )
    variant = parts[2] if len(parts) == 3 else None
    return _normal(Platform(os="linux", architecture=parts[1], variant=variant))


def written(known: Platform) -> str:
    """A platform as people write it: ``linux/arm/v7``."""
    return "/".join(part for part in (known.os, known.architecture, known.variant) if part)


def choose(offered: Sequence[Descriptor], wanted: Platform, name: str) -> Descriptor:
    """Choose from an index the manifest that fits a platform best; of equals, the first.

    Raises:
        NotInRegistryError: None fits. The message says which there are.
    """
    for runs in _that_run(wanted):
        for descriptor in offered:
            if descriptor.platform is not None and _normal(descriptor.platform) == runs:
                return descriptor
    for descriptor in offered:
        if descriptor.platform is None:  # it does not say, so it may
            return descriptor
    there = sorted({written(d.platform) for d in offered if d.platform} - {"unknown/unknown"})
    raise NotInRegistryError(
        f"no matching manifest for {written(wanted)} in the manifest list entries: {name} is made "
        f"for {', '.join(there) or 'nothing'}",
        "MANIFEST_UNKNOWN",
    )


def fits(made_for: Platform, wanted: Platform) -> bool:
    """Whether a machine runs what is made for a platform."""
    return _normal(made_for) in _that_run(wanted)


def _that_run(wanted: Platform) -> list[Platform]:
    """What a machine runs, best first, in normal form."""
    wanted = _normal(wanted)
    kind = wanted.architecture
    newest = _number(wanted.variant or _USUAL.get(kind, ""))
    if kind == "arm64":
        found = [(kind, number) for number in range(newest, 7, -1)]
        found += [("arm", number) for number in range(8, 4, -1)]
    elif kind == "arm":
        found = [(kind, number) for number in range(newest, 4, -1)]
    elif kind == "amd64":
        found = [(kind, number) for number in range(newest, 0, -1)] + [("386", 0)]
    else:
        return [wanted]
    return [
        _normal(Platform(os=wanted.os, architecture=name, variant=f"v{number}" if number else None))
        for name, number in found
    ]


def _number(variant: str) -> int:
    digits = variant.removeprefix("v").partition(".")[0]
    return min(int(digits), 99) if digits.isdecimal() else 0


def _normal(given: Platform) -> Platform:
    """One of the many ways to write a platform; the version of the system does not matter here."""
    name, meant = given.architecture.lower(), given.variant or ""
    if name in _OTHER_NAMES:
        name, implied = _OTHER_NAMES[name]
        meant = meant or implied
    meant = meant.lower()
    if meant.isdecimal():
        meant = f"v{meant}"
    if _USUAL.get(name) == meant:
        meant = ""
    return Platform(os=given.os.lower(), architecture=name, variant=meant or None)
