"""Mounts: the classic call, and the newer ones that work on descriptors.

A detached mount (from :func:`open_tree` with ``clone``, or :func:`detached`) is a descriptor; it
has no place in any tree until :func:`attach` gives it one, and goes away when the descriptor is
closed. Paths are used only where no one else can have changed them, descriptors everywhere else.

Source: mount(2), open_tree(2), move_mount(2), fsopen(2), mount_setattr(2), linux/mount.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable

from cellcrate_runtime.linux import recording
from cellcrate_runtime.linux.recording import path_of
from cellcrate_runtime.linux.syscalls import SystemCall

__all__ = [
    "attach",
    "detached",
    "mount",
    "mount_here",
    "open_tree",
    "pivot_into",
    "remount_here",
    "set_attributes",
    "set_propagation",
    "unmount",
]

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_SYNCHRONOUS = 0x10
MS_REMOUNT = 0x20
MS_MANDLOCK = 0x40
MS_DIRSYNC = 0x80
MS_NOSYMFOLLOW = 0x100
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SILENT = 0x8000
MS_UNBINDABLE = 0x2_0000
MS_PRIVATE = 0x4_0000
MS_SLAVE = 0x8_0000
MS_SHARED = 0x10_0000
MS_RELATIME = 0x20_0000
MS_I_VERSION = 0x80_0000
MS_STRICTATIME = 0x100_0000
MS_LAZYTIME = 0x200_0000

MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

ATTR_RDONLY = 0x1
ATTR_NOSUID = 0x2
ATTR_NODEV = 0x4
ATTR_NOEXEC = 0x8
ATTR_ATIME = 0x70  # the field that the next two, and 0 for relatime, are values of
ATTR_NOATIME = 0x10
ATTR_STRICTATIME = 0x20
ATTR_NODIRATIME = 0x80
ATTR_IDMAP = 0x10_0000
ATTR_NOSYMFOLLOW = 0x20_0000

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_MOVE_MOUNT_T_EMPTY_PATH = 0x40
_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6


class _MountAttributes(ctypes.Structure):
    """``struct mount_attr`` of mount_setattr(2)."""

    _fields_ = [
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


_text, _int, _uint = ctypes.c_char_p, ctypes.c_int, ctypes.c_uint
_mount = SystemCall("mount", _text, _text, _text, ctypes.c_ulong, _text)
_umount2 = SystemCall("umount2", _text, _int)
_pivot_root = SystemCall("pivot_root", _text, _text)
_open_tree = SystemCall("open_tree", _int, _text, _uint)
_move_mount = SystemCall("move_mount", _int, _text, _int, _text, _uint)
_mount_setattr = SystemCall("mount_setattr", _int, _text, _uint, ctypes.c_void_p, ctypes.c_size_t)
_fsopen = SystemCall("fsopen", _text, _uint)
_fsconfig = SystemCall("fsconfig", _int, _uint, _text, _text, _int)
_fsmount = SystemCall("fsmount", _int, _uint, _uint)


def mount(
    source: str | None, target: str, type_: str | None, flags: int, options: str = ""
) -> None:
    """mount(2), by path."""
    _mount(
        os.fsencode(source) if source is not None else None,
        os.fsencode(target),
        type_.encode() if type_ is not None else None,
        flags,
        options.encode() or None,
        about=target,
    )
    _note_mount(source, target, type_, flags, options)


def _note_mount(
    source: str | None, target: str | int, type_: str | None, flags: int, options: str
) -> None:
    if recording.active is not None:
        recording.active.note(
            "mount",
            source=source or "",
            target=os.path.abspath(target) if isinstance(target, str) else path_of(target),
            type=type_ or "",
            flags=flags,
            data=options,
        )


def mount_here(type_: str, directory: int, source: str, flags: int, options: str = "") -> None:
    """Mount a file system on an open directory, which becomes the working directory.

    This is one call where the descriptor-based ones would be five or more.
    """
    os.fchdir(directory)
    _mount(os.fsencode(source), b".", type_.encode(), flags, options.encode() or None)
    _note_mount(source, directory, type_, flags, options)


def remount_here(place: int, flags: int, options: str = "") -> None:
    """Change the mount whose root an open directory or file is; with MS_BIND, not its file system.

    As with mount(8), the flags that are not given are taken away.
    """
    path = f"/proc/self/fd/{place}".encode()  # which may be a file, where fchdir(2) would not do
    _mount(None, path, None, MS_REMOUNT | flags, options.encode() or None)
    _note_mount(None, place, None, MS_REMOUNT | flags, options)


def unmount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    _umount2(os.fsencode(target), flags, about=target)
    if recording.active is not None:
        recording.active.note("umount2", target=target)


def set_propagation(target: str, flags: int) -> None:
    """Change how mounts made below ``target`` reach other namespaces, as MS_PRIVATE | MS_REC."""
    _mount(None, os.fsencode(target), None, flags, None, about=target)
    _note_mount(None, target, None, flags, "")


def open_tree(
    path: str, *, at: int | None = None, clone: bool = False, recursive: bool = False
) -> int:
    """A descriptor of the mount at ``path``, or with ``clone`` of a detached copy of it.

    Args:
        path: Starts at ``at`` if relative; empty means ``at`` itself.
        recursive: Copy the mounts below it too.
    """
    flags = os.O_CLOEXEC | _AT_EMPTY_PATH
    if clone:
        flags |= _OPEN_TREE_CLONE | (_AT_RECURSIVE if recursive else 0)
    tree = _open_tree(_AT_FDCWD if at is None else at, os.fsencode(path), flags, about=path)
    if clone and recording.active is not None:
        source = path if at is None else os.path.join(path_of(at), path).rstrip("/")
        recording.active.note("open_tree", source=source, tree=tree, recursive=int(recursive))
    return tree


def id_of(descriptor: int) -> int:
    """The id of the mount that an open file is in; see proc_pid_fdinfo(5)."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("mnt_id:"))


def attach(tree: int, target: int | str) -> None:
    """Attach a detached mount on an open directory or file, or on a path."""
    if isinstance(target, str):
        _move_mount(
            tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH, about=target
        )
    else:
        _move_mount(tree, b"", target, b"", _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH)
    if recording.active is not None:
        place = target if isinstance(target, str) else path_of(target)
        recording.active.note("move_mount", tree=tree, target=place)


def attach_as_newest(tree: int, target: int, aside: int) -> None:
    """Attach a detached mount as if it had been made just now: the lists of mounts have it last.

    Since Linux 6.8 they are in the order in which mounts were made, and not in that of their places
    (proc_pid_mountinfo(5)). So what is attached is a copy, which only a mount of this mount
    namespace can have.

    Args:
        target: An open directory or file.
        aside: Another one, where the original is left, to go with what that is part of.
    """
    attach(tree, aside)
    copy = open_tree("", at=tree, clone=True, recursive=True)
    try:
        # Where mounts are shared, unmounting one unmounts its peers: the host's, and the copy.
        set_attributes(tree, propagation=MS_PRIVATE, recursive=True)
        attach(copy, target)
    finally:
        os.close(copy)


def bind(source: str, target: int, *, recursive: bool = False, set_: int = 0) -> None:
    """Attach a copy of the mount at ``source`` on an open directory or file.

    Args:
        recursive: Copy the mounts below it too.
        set_: ``ATTR_…`` to set for all that is copied.
    """
    tree = open_tree(source, clone=True, recursive=recursive)
    try:
        if set_:
            set_attributes(tree, set_=set_, recursive=recursive)
        attach(tree, target)
    finally:
        os.close(tree)


def set_attributes(
    tree: int,
    *,
    set_: int = 0,
    clear: int = 0,
    propagation: int = 0,
    idmap: int | None = None,
    recursive: bool = False,
) -> None:
    """Change a mount, and with ``recursive`` those below it too.

    Args:
        set_: ``ATTR_…`` to set.
        clear: ``ATTR_…`` to take away.
        propagation: MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE.
        idmap: A user namespace whose mappings the mount gets; the mount must be detached.
    """
    if set_ & ATTR_ATIME:
        clear |= ATTR_ATIME  # the kernel wants the field emptied to set it
    attributes = _MountAttributes(set_, clear, propagation, 0)
    if idmap is not None:
        attributes.attr_set |= ATTR_IDMAP
        attributes.userns_fd = idmap
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    _mount_setattr(tree, b"", flags, ctypes.byref(attributes), ctypes.sizeof(attributes))
    if recording.active is not None:
        recording.active.note(
            "mount_setattr",
            tree=tree,
            target=path_of(tree),
            set=attributes.attr_set,
            clear=clear,
            propagation=propagation,
            recursive=int(recursive),
        )


def detached(
    type_: str, options: Iterable[tuple[str, str | None]] = (), *, source: str, attributes: int = 0
) -> int:
    """A new file system as a detached mount, through fsopen(2).

    Args:
        options: Names with values, or None for a flag; given one at a time, so that their
            length together has no limit.
        attributes: ``ATTR_…`` of the mount.

    Raises:
        OSError: With what the file system itself has to say, where it says something.
    """
    settings = [("source", source), *options]
    context = _fsopen(type_.encode(), _FSOPEN_CLOEXEC, about=type_)
    try:
        for name, value in settings:
            _configure(context, type_, name, value)
        try:
            _fsconfig(context, _FSCONFIG_CMD_CREATE, None, None, 0)
            tree = _fsmount(context, _FSMOUNT_CLOEXEC, attributes)
        except OSError as error:
            raise _with_reason(error, context, type_) from None
    finally:
        os.close(context)
    if recording.active is not None:
        words = [name if value is None else f"{name}={value}" for name, value in settings[1:]]
        recording.active.note(
            "fsmount", type=type_, source=source, data=words, attributes=attributes, tree=tree
        )
    return tree


def _configure(context: int, type_: str, name: str, value: str | None) -> None:
    command = _FSCONFIG_SET_FLAG if value is None else _FSCONFIG_SET_STRING
    encoded = None if value is None else os.fsencode(value)
    try:
        _fsconfig(context, command, name.encode(), encoded, 0)
    except OSError as error:
        setting = name if value is None else f"{name}={value}"
        raise _with_reason(error, context, f"{type_} ({setting})") from None


def _with_reason(error: OSError, context: int, about: str) -> OSError:
    """The same error with the file system's own message, which waits on the descriptor."""
    try:
        said = os.read(context, 4096).decode(errors="replace").strip()
    except OSError as nothing:
        if nothing.errno != errno.ENODATA:
            raise
        return OSError(error.errno, error.strerror, about)
    # The message starts with its level: "e overlay: ...".
    return OSError(error.errno, f"{error.strerror} ({said.partition(' ')[2]})", about)


def pivot_into(root: int) -> None:
    """Make the mount ``root`` this namespace's root and let go of everything else in it.

    The old root is stacked on the new one for a moment ("." twice), so no folder in the new root
    is needed for it; see pivot_root(2), NOTES.
    """
    os.fchdir(root)
    _pivot_root(b".", b".")
    _umount2(b".", MNT_DETACH)
    os.chdir("/")
    if recording.active is not None:
        recording.active.note("pivot_root")
        recording.active.note("umount2", target=".")
