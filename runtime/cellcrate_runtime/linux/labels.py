"""The labels by which a security module knows what a program may do: AppArmor and SELinux.

Source: the kernel's Documentation/admin-guide/LSM; apparmor(7); proc_pid_attr(5).
"""

from __future__ import annotations

import os

__all__ = ["has_apparmor", "has_selinux", "set_apparmor_profile", "set_selinux_label"]

_APPARMOR = "/sys/module/apparmor/parameters/enabled"
_SELINUX = "/sys/fs/selinux/enforce"
_ATTRIBUTES = "/proc/thread-self/attr"


def has_apparmor() -> bool:
    """Whether AppArmor is active."""
    try:
        with open(_APPARMOR, encoding="ascii") as file:
            return file.read().startswith("Y")
    except OSError:
        return False


def has_selinux() -> bool:
    """Whether SELinux is active."""
    return os.path.exists(_SELINUX)


def set_apparmor_profile(name: str) -> None:
    """Put what this process executes next under a profile; to be called with the host's /proc.

    Raises:
        OSError: No such profile is loaded.
    """
    own = f"{_ATTRIBUTES}/apparmor/exec"  # since Linux 5.8; the other one is of the first module
    _write(own if os.path.exists(own) else f"{_ATTRIBUTES}/exec", f"exec {name}")


def set_selinux_label(label: str) -> None:
    """Give what this process executes next a label; to be called with the host's /proc.

    Raises:
        OSError: The policy does not allow it.
    """
    _write(f"{_ATTRIBUTES}/exec", label)


def _write(path: str, value: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, value.encode())
    finally:
        os.close(file)
