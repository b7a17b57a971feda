"""The end of a container: its exit status on disk, and nothing else left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import msgspec

from cellcrate_runtime.engine.complaints import complain
from cellcrate_runtime.engine.protocol import ExitRecord
from cellcrate_runtime.engine.shim import run_folder
from cellcrate_runtime.engine.shim.starting import Container
from cellcrate_runtime.linux import mounts
from cellcrate_runtime.linux.cgroups import CgroupError

__all__ = ["abandon", "take_down", "write_exit_file"]


def write_exit_file(path: str, record: ExitRecord) -> None:
    """Write how a container ended, so that it is there whole or not at all, even after a crash."""
    try:
        _write_whole(path, msgspec.json.encode(record))
    except FileNotFoundError:
        pass  # the container's folder is gone: nobody wants to know
    except OSError as error:
        complain(f"the exit status {record.exit_code} could not be kept: {error}")


def take_down(container: Container) -> None:
    """Remove what a container's start made: control group, mount, run folder.

    What cannot be removed is told, and does not keep the rest from being removed.
    """
    request = container.request
    if container.foreign is not None:
        container.foreign.delete()
    if container.cgroup is not None:
        _attempt(container.cgroup.delete)
    if request.rootfs is not None:
        mount_point = request.rootfs.mount_point
        _attempt(lambda: mounts.unmount(mount_point, mounts.MNT_DETACH))
    _attempt(lambda: run_folder.remove(request.run_dir))
    os.close(container.lock)


def abandon(container: Container) -> None:
    """End a container that cannot be kept, and remove everything of it."""
    signal.pidfd_send_signal(container.process.pidfd, signal.SIGKILL)
    os.waitid(os.P_PIDFD, container.process.pidfd, os.WEXITED)
    take_down(container)


def _attempt(step: Callable[[], None]) -> None:
    try:
        step()
    except (OSError, CgroupError) as error:
        complain(f"something of a container is left: {error}")


def _write_whole(path: str, content: bytes) -> None:
    temporary = f"{path}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, path)
