"""The mounts of a configuration: prepared outside, put in their places inside.

What is taken from the host (bind mounts) is opened by :func:`prepare` before there is a container
process, with the caller's rights and the host's view. Every place in the container is looked up by
:func:`perform` inside the container's root and held as a descriptor, so that no link in the image
leads a mount anywhere else.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat

import msgspec

from cellcrate_runtime.linux import mounts, safe_paths
from cellcrate_runtime.oci import cgroup_mounts, copy_up, devices
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.identity import MappingNamespaces
from cellcrate_runtime.oci.mount_options import MountOptions, bind_attributes, parse
from cellcrate_runtime.oci.spec import Linux, Mount

__all__ = ["Outside", "PreparedMount", "is_dev", "perform", "prepare", "prepare_dev"]

# What the kernel mounts only for the owner of a namespace, and where the host has it.
_TAKEN_FROM_HOST = {"proc": "/proc", "sysfs": "/sys", "mqueue": "/dev/mqueue"}

_ON_FOLDERS_ALONE = ("proc", "sysfs")


class Outside(msgspec.Struct):
    """Two places of the host's that this mount namespace has for itself, until it leaves them.

    Every procfs has them, and no step on the way to the program, nor a hook, looks at them.
    """

    directory: int
    file: int

    @classmethod
    def open(cls) -> Outside:
        """Open them, while there is a way to them."""
        flags = os.O_PATH | os.O_CLOEXEC
        return cls(os.open("/proc/fs", flags), os.open("/proc/version", flags))

    def close(self) -> None:
        """Let go of them."""
        os.close(self.directory)
        os.close(self.file)


class PreparedMount(msgspec.Struct):
    """A mount that is ready to be put in its place.

    Attributes:
        mount: As the configuration has it.
        options: What its options mean.
        tree: For a bind mount, what is mounted, as a detached mount.
        is_directory: Whether that is a folder.
        has_devices: Whether it is a /dev that was filled outside.
    """

    mount: Mount
    options: MountOptions
    tree: int | None = None
    is_directory: bool = True
    has_devices: bool = False

    @property
    def protected_later(self) -> bool:
        """Whether it is a read-only ``/dev``, in which devices have to be made before."""
        read_only = bool(self.options.flags & mounts.MS_RDONLY)
        return read_only and self.mount.type == "tmpfs" and is_dev(self.mount)

    def close(self) -> None:
        """Let go of the tree."""
        if self.tree is not None:
            os.close(self.tree)
            self.tree = None


def is_dev(mount: Mount) -> bool:
    """Whether a mount is the container's /dev."""
    return posixpath.normpath(f"/{mount.destination}").replace("//", "/") == "/dev"


def prepare_dev(
    mount: Mount, owner: tuple[int, int], linux: Linux, later: list[Mount]
) -> PreparedMount:
    """Fill the container's /dev, a tmpfs, before there is a container.

    Only root of the host can, whose device nodes work in a user namespace too.

    Args:
        mount: The tmpfs.
        owner: The container's root, as the host sees it.
        linux: Has the devices.
        later: What will be mounted after it, some of it in it.
    """
    prepared = PreparedMount(mount, parse(mount.options))
    places = [posixpath.split(each.destination) for each in later if each.type != "bind"]
    try:
        prepared.tree = devices.make_folder(
            prepared.options.data,
            bind_attributes(prepared.options.flags & ~mounts.MS_RDONLY),
            owner,
            linux.devices,
            list(dict.fromkeys(name for folder, name in places if folder == "/dev")),
        )
    except PermissionError:
        return prepared  # a root that may make no nodes: they are mounted, inside
    except OSError as error:
        raise OCIError.from_os_error(error, "cannot make the devices of /dev") from error
    prepared.has_devices = True
    return prepared


def prepare(mount: Mount, namespaces: MappingNamespaces) -> PreparedMount:
    """Open what a mount takes from the host.

    Raises:
        OCIError: The source is missing, or cannot be mounted as the options say.
    """
    prepared = PreparedMount(mount, parse(mount.options))
    if prepared.options.remount or not (prepared.options.bind or mount.type == "bind"):
        return prepared
    try:
        prepared.tree = mounts.open_tree(
            mount.source, clone=True, recursive=prepared.options.recursive
        )
        prepared.is_directory = stat.S_ISDIR(os.fstat(prepared.tree).st_mode)
        _set_attributes(prepared.tree, mount, prepared.options, namespaces)
    except OSError as error:
        prepared.close()
        raise OCIError.from_os_error(
            error, f"cannot mount {mount.source} at {mount.destination}"
        ) from error
    except OCIError:
        prepared.close()
        raise
    return prepared


def _set_attributes(
    tree: int, mount: Mount, options: MountOptions, namespaces: MappingNamespaces
) -> None:
    propagation = options.propagation & ~mounts.MS_REC
    if propagation in (0, mounts.MS_UNBINDABLE):  # this one comes last: it forbids copies
        propagation = mounts.MS_PRIVATE
    everywhere = not options.propagation or bool(options.propagation & mounts.MS_REC)
    mounts.set_attributes(
        tree,
        set_=options.tree_set,
        clear=options.tree_clear,
        propagation=propagation,
        recursive=everywhere,
    )
    if here := bind_attributes(options.flags):
        _set_flags(tree, here)
    if options.idmap or mount.uid_mappings:
        _translate_ids(tree, mount, options, namespaces)


def _set_flags(tree: int, attributes: int) -> None:
    try:
        mounts.set_attributes(tree, set_=attributes)
    except PermissionError:
        # In a user namespace it is not allowed to change how the host's mounts keep access times
        # (mount_namespaces(7)). They protect nothing, so the rest is what matters.
        without_times = attributes & ~mounts.ATTR_ATIME
        if without_times == attributes:
            raise
        mounts.set_attributes(tree, set_=without_times)


def _translate_ids(
    tree: int, mount: Mount, options: MountOptions, namespaces: MappingNamespaces
) -> None:
    if mount.uid_mappings or mount.gid_mappings:
        userns = namespaces.of(mount.uid_mappings, mount.gid_mappings)
    else:
        userns = namespaces.of_container()
    try:
        mounts.set_attributes(tree, idmap=userns, recursive=options.idmap_recursive)
    except OSError as error:
        below = ", or one mounted below it," if options.idmap_recursive else ""
        raise OCIError(
            f"cannot mount {mount.source} at {mount.destination} with translated ids: its file "
            f"system{below} does not support id-mapped mounts ({error.strerror})",
            errno=error.errno or 0,
        ) from error


def perform(root: int, prepared: PreparedMount, outside: Outside | None) -> None:
    """Put a mount in its place; to be called in the container.

    Args:
        root: The directory below which it is put.
        prepared: The mount.
        outside: Where what is left behind goes; None if there is no such place.

    Raises:
        OSError: As the kernel says.
    """
    mount, options = prepared.mount, prepared.options
    if options.remount:
        _remount(root, mount, options)
        return
    if prepared.protected_later:
        writable = options.flags & ~mounts.MS_RDONLY
        options = msgspec.structs.replace(options, flags=writable)
    if prepared.tree is not None:
        _attach(root, prepared, prepared.tree, outside)
        return
    if mount.type in _ON_FOLDERS_ALONE:
        _refuse_link(root, mount)
    place, was_there = _place(root, mount.destination)
    try:
        if mount.type in ("cgroup", "cgroup2"):
            cgroup_mounts.mount_at(root, place, mount.destination, options.flags)
        elif mount.type == "tmpfs":
            _mount_tmpfs(root, place, mount, options, was_there)
        else:
            _mount_new(place, mount, options)
    finally:
        os.close(place)
    if options.tree_set or options.tree_clear:
        _set_recursively(root, mount.destination, options)
    if options.propagation:
        _propagate(root, mount.destination, options.propagation)


def _attach(root: int, prepared: PreparedMount, tree: int, outside: Outside | None) -> None:
    """Put what was mounted outside in its place."""
    destination = prepared.mount.destination
    make = safe_paths.make_directory if prepared.is_directory else safe_paths.make_file
    place = make(root, destination)
    try:
        if outside is None:
            mounts.attach(tree, place)
        else:
            aside = outside.directory if prepared.is_directory else outside.file
            mounts.attach_as_newest(tree, place, aside)
    finally:
        os.close(place)
    if prepared.options.propagation & mounts.MS_UNBINDABLE:
        _propagate(root, destination, prepared.options.propagation)


def _remount(root: int, mount: Mount, options: MountOptions) -> None:
    """Change a mount that is in its place already, as mount(8) does with ``remount``."""
    place = safe_paths.open_inside(root, mount.destination)
    try:
        flags = options.flags | (mounts.MS_BIND if options.bind else 0)
        mounts.remount_here(place, flags, ",".join(options.data))
    finally:
        os.close(place)


def _set_recursively(root: int, destination: str, options: MountOptions) -> None:
    place = safe_paths.open_inside(root, destination)
    try:
        mounts.set_attributes(
            place, set_=options.tree_set, clear=options.tree_clear, recursive=True
        )
    finally:
        os.close(place)


def _refuse_link(root: int, mount: Mount) -> None:
    """Refuse to follow an image to elsewhere with a file system that is looked for at its place.

    Were it at another one, what is to be hidden of it could not be found (CVE-2019-19921).
    """
    try:
        there = safe_paths.open_inside(
            root, mount.destination.rstrip("/"), os.O_PATH | os.O_NOFOLLOW
        )
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(there).st_mode):
            raise OCIError(
                f'filesystem "{mount.type}" must be mounted on ordinary directory, and the image '
                f"has something else at {mount.destination}",
                "invalid",
            )
    finally:
        os.close(there)


def _place(root: int, destination: str) -> tuple[int, bool]:
    """The folder to mount on, made if missing, and whether it was there."""
    try:
        return safe_paths.open_inside(root, destination, os.O_PATH | os.O_DIRECTORY), True
    except FileNotFoundError:
        return safe_paths.make_directory(root, destination), False


def _mount_new(place: int, mount: Mount, options: MountOptions) -> None:
    """Mount a file system of the kernel's, or what the host has of it where only it may."""
    try:
        data = ",".join(options.data)
        mounts.mount_here(mount.type, place, mount.source or mount.type, options.flags, data)
    except PermissionError:
        source = _TAKEN_FROM_HOST.get(mount.type)
        if source is None:
            raise
        # The container shares the host's namespace, and so the file system.
        mounts.bind(source, place, recursive=True, set_=bind_attributes(options.flags))
    except OSError as error:
        # The terminals' group may have no id here, where a user is mapped alone.
        without = [word for word in options.data if not word.startswith("gid=")]
        if error.errno != errno.EINVAL or mount.type != "devpts" or without == options.data:
            raise
        mounts.mount_here("devpts", place, "devpts", options.flags, ",".join(without))


def _mount_tmpfs(
    root: int, place: int, mount: Mount, options: MountOptions, was_there: bool
) -> None:
    """Mount a file system in memory; it has the mode of the folder that was there."""
    data = list(options.data)
    if was_there and not any(word.startswith("mode=") for word in data):
        data.append(f"mode={stat.S_IMODE(os.fstat(place).st_mode):o}")
    flags = options.flags & ~mounts.MS_RDONLY if options.copy_up else options.flags
    mounts.mount_here("tmpfs", place, mount.source or "tmpfs", flags, ",".join(data))
    if not options.copy_up:
        return
    filled = safe_paths.open_inside(root, mount.destination, os.O_PATH | os.O_DIRECTORY)
    try:
        copy_up.copy_contents(place, filled)
        if options.flags & mounts.MS_RDONLY:
            mounts.set_attributes(filled, set_=mounts.ATTR_RDONLY)
    finally:
        os.close(filled)


def _propagate(root: int, destination: str, propagation: int) -> None:
    place = safe_paths.open_inside(root, destination)
    try:
        everywhere = bool(propagation & mounts.MS_REC)
        mounts.set_attributes(place, propagation=propagation & ~mounts.MS_REC, recursive=everywhere)
    finally:
        os.close(place)
