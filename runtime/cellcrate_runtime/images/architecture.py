"""This machine's processor, by the name that images know it under."""

from __future__ import annotations

import platform

__all__ = ["machine_architecture"]

# Names as Go has them: OCI image-spec 1.1, config.md, "architecture".
ARCHITECTURES = {
    "x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386",
    "riscv64": "riscv64", "ppc64le": "ppc64le", "s390x": "s390x", "loongarch64": "loong64",
}  # fmt: skip


def machine_architecture() -> str:
    """Return, for example, ``amd64`` on a machine that calls itself x86_64."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)
