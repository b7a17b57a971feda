"""The machine itself: its size, and whether it can run virtual machines."""

from __future__ import annotations

import fcntl
import os

from cellcrate_runtime.linux.cgroups.machine import own_memory_limit, size_text

from ..runner import Lacking, Probe

__all__ = ["probes"]

# linux/kvm.h
_KVM_GET_API_VERSION = 0xAE00
_KVM_CREATE_VM = 0xAE01
_KVM_API_VERSION = 12

_LITTLE_MEMORY = 512 << 20  # what a notebook's own programs take


def probes() -> list[Probe]:
    """Return the probes."""
    return [
        Probe(
            "KVM",
            gives="virtual machines can run at the speed of the processor",
            without="Virtual machines run by emulation, which is about ten times slower.",
            attempt=_kvm,
        ),
        Probe(
            "size",
            gives="what there is to share out",
            without="It is not known what there is to share out.",
            attempt=_size,
        ),
    ]


def _kvm() -> str:
    try:
        device = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Lacking(
            "missing",
            "There is no /dev/kvm: the processor has no virtualisation, it is switched off in "
            "the firmware, or this is a virtual machine itself.",
        ) from error
    except PermissionError as error:
        raise Lacking(
            "missing",
            "/dev/kvm is not open to this user.",
            "sudo usermod -aG kvm $USER, then log in again",
        ) from error
    version = fcntl.ioctl(device, _KVM_GET_API_VERSION)
    if version != _KVM_API_VERSION:
        raise Lacking("missing", f"/dev/kvm speaks version {version}, not {_KVM_API_VERSION}.")
    fcntl.ioctl(device, _KVM_CREATE_VM, 0)
    return "/dev/kvm makes an empty machine; only a guest that starts is proof"


def _size() -> str:
    available, total = _memory()
    cpus = len(os.sched_getaffinity(0))
    text = f"{cpus} CPU{'s' if cpus > 1 else ''}, {size_text(available)} of {size_text(total)} free"
    limit = own_memory_limit()
    if limit is not None:
        text += f", and this process may use {size_text(limit)} of it"
        available = min(available, limit)
    if available < _LITTLE_MEMORY:
        raise Lacking("limited", f"There is little memory left: {text}.")
    return text


def _memory() -> tuple[int, int]:
    """Return how much memory can be had, and how much there is, in bytes."""
    values = {}
    with open("/proc/meminfo") as file:
        for line in file:
            name, _, number = line.partition(":")
            values[name] = int(number.split()[0]) << 10
    return values["MemAvailable"], values["MemTotal"]
