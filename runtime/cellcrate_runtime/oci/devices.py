"""``/dev``: the device nodes that every program counts on, and those a container was given.

Source: OCI runtime-spec 1.2, config-linux.md, "Default Devices"; runtime-linux.md, "Dev symbolic
links"; the numbers are in the kernel's Documentation/admin-guide/devices.txt.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator

from cellcrate_runtime.linux import credentials, mounts, recording, safe_paths
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.spec import Device

__all__ = ["make_devices", "make_folder"]

_DEFAULT = tuple(
    Device(path=f"/dev/{name}", type="c", major=major, minor=minor, file_mode=0o666)
    for name, major, minor in (
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    )
)

# What a device gets for which the configuration names no mode: for its owner alone.
_MODE_WITHOUT = 0o600

_LINKS = {
    "ptmx": "pts/ptmx",
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}

_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def make_folder(
    options: Iterable[str],
    attributes: int,
    owner: tuple[int, int],
    devices: Iterable[Device],
    folders: Iterable[str],
) -> int:
    """A ``/dev`` with everything in it, as a detached mount, made outside of the container.

    The caller is root of the host, so the nodes are real ones that belong to the container's root.

    Args:
        options: Of the tmpfs.
        attributes: ``ATTR_…`` of the mount.
        owner: The container's root, as the host sees it.
        devices: Those of the configuration; what is not below /dev is left out.
        folders: Names of places for what is mounted in it.
    """
    uid, gid = owner
    pairs = [(name, value or None) for name, _, value in (o.partition("=") for o in options)]
    pairs += [("uid", str(uid)), ("gid", str(gid))]
    tree = mounts.detached("tmpfs", pairs, source="tmpfs", attributes=attributes)
    umask = os.umask(0)
    try:
        with credentials.file_access_as(uid, gid):
            for device in (*_DEFAULT, *_without_ptmx(devices)):
                folder, name = posixpath.split(device.path)
                if folder == "/dev":
                    _make_node(tree, name, device)
            for name in folders:
                os.mkdir(name, 0o755, dir_fd=tree)
            make_links(tree)
    except BaseException:
        os.close(tree)
        raise
    finally:
        os.umask(umask)
    return tree


def make_devices(root: int, devices: Iterable[Device], *, may_make_nodes: bool) -> None:
    """Make the default devices, and those of the configuration, and the links, inside ``root``.

    Args:
        may_make_nodes: Whether to try mknod(2). In a user namespace it is never allowed, and
            sometimes not to root either; the host's nodes are mounted instead.
    """
    make = _make_or_mount_node if may_make_nodes else _mount_node
    wanted = {device.path: device for device in (*_DEFAULT, *_without_ptmx(devices))}
    folders: dict[str, int] = {}
    try:
        for path, device in wanted.items():
            folder, name = posixpath.split(path)
            if folder not in folders:
                folders[folder] = safe_paths.make_directory(root, folder)
            try:
                make(folders[folder], name, device)
            except OSError as error:
                raise OCIError.from_os_error(error, f"cannot make the device {path}") from error
        make_links(folders["/dev"])
    finally:
        for descriptor in folders.values():
            os.close(descriptor)


def _without_ptmx(devices: Iterable[Device]) -> Iterator[Device]:
    """Leave out the terminals' multiplexer: a container always has its own, by a link."""
    return (device for device in devices if posixpath.normpath(device.path) != "/dev/ptmx")


def make_links(dev: int) -> None:
    """Make the usual links in an open ``/dev``, where there is nothing of the name yet."""
    for name, target in _LINKS.items():
        with contextlib.suppress(FileExistsError):
            os.symlink(target, name, dir_fd=dev)


def _make_node(folder: int, name: str, device: Device) -> None:
    mode = _MODE_WITHOUT if device.file_mode is None else device.file_mode
    number = os.makedev(device.major, device.minor)
    try:
        os.mknod(name, _KINDS[device.type] | mode, number, dir_fd=folder)
    except FileExistsError:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_IFMT(status.st_mode) != _KINDS[device.type] or status.st_rdev != number:
            raise
    else:
        if recording.active is not None:
            recording.active.note(
                "mknod",
                target=device.path,
                type=device.type,
                major=device.major,
                minor=device.minor,
                mode=mode,
            )
    if device.uid or device.gid:
        os.chown(name, device.uid or 0, device.gid or 0, dir_fd=folder, follow_symlinks=False)


def _make_or_mount_node(folder: int, name: str, device: Device) -> None:
    try:
        _make_node(folder, name, device)
    except PermissionError:
        _mount_node(folder, name, device)


def _mount_node(folder: int, name: str, device: Device) -> None:
    if device.type == "p":
        _make_node(folder, name, device)
        return
    with contextlib.suppress(FileExistsError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        os.close(os.open(name, flags, 0o644, dir_fd=folder))
    place = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        _refuse_other(os.fstat(place), device)
        mounts.bind(_host_node(device), place)
    finally:
        os.close(place)


def _refuse_other(status: os.stat_result, device: Device) -> None:
    """Refuse to cover another device; a file or a link of the image's is a place to mount on."""
    other = stat.S_IFMT(status.st_mode) != _KINDS[device.type]
    other = other or status.st_rdev != os.makedev(device.major, device.minor)
    if other and not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        raise FileExistsError(errno.EEXIST, "something else is there already", device.path)


def _host_node(device: Device) -> str:
    """Where the host has this device: under the same name, or by number where udev(7) keeps that.

    Raises:
        FileNotFoundError: Nowhere.
    """
    by_number = f"/dev/{'block' if device.type == 'b' else 'char'}/{device.major}:{device.minor}"
    for path in (device.path, by_number):
        try:
            status = os.stat(path)
        except OSError:
            continue
        same_kind = stat.S_IFMT(status.st_mode) == _KINDS[device.type]
        if same_kind and status.st_rdev == os.makedev(device.major, device.minor):
            return path
    raise FileNotFoundError(
        errno.ENOENT, "the host has no such device, or under another name", device.path
    )
