"""What a container's files are made of: layers, and ids that are translated on the way."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from cellcrate_runtime.linux import idmap, idmapped_layers, mounts
from cellcrate_runtime.linux.overlay import mount_overlay
from cellcrate_runtime.paths import Paths

from ..rights import become_maker, is_root, new_mount_namespace
from ..runner import Lacking, Probe

__all__ = ["probes"]


def probes() -> list[Probe]:
    """Return the probes."""
    found = [
        Probe(
            "overlayfs",
            gives="containers share their image and keep their changes apart",
            without="Containers cannot share an image.",
            attempt=_overlay,
            needed=True,
        )
    ]
    if is_root():
        found.append(
            Probe(
                "id-mapped mounts",
                gives="files keep their owners on disk, whoever a container's root is outside",
                without="Files cannot keep their owners on disk.",
                attempt=_idmap,
            )
        )
    return found


def _storage() -> Path:
    """Return the folder where images and containers are kept, or where it will be made."""
    folder = Paths.from_environment().data
    while not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        if folder == folder.parent:
            return Path(tempfile.gettempdir())
        folder = folder.parent
    return folder


def _overlay() -> str:
    try:
        place = Path(tempfile.mkdtemp(prefix=".cellcrate-doctor-", dir=_storage()))
    except OSError as error:
        raise Lacking(
            "missing",
            "There is no folder to keep containers in that this user may write to.",
            "Set CELLCRATE_HOME to a folder of your own.",
        ) from error
    try:
        _try_overlay(place)
    except OSError as error:
        raise Lacking(
            "missing",
            f"The kernel says: {error.strerror}, for a layer in {place.parent}.",
            "Set CELLCRATE_HOME to a folder on another file system (ext4, xfs, btrfs or tmpfs).",
        ) from error
    finally:
        _remove(place)
    return ""


def _try_overlay(place: Path) -> None:
    for name in ("lower", "upper", "work", "merged"):
        (place / name).mkdir()
    for name in ("kept", "deleted"):
        (place / "lower" / name).touch()
    become_maker()
    new_mount_namespace()
    merged = place / "merged"
    mount_overlay(
        [str(place / "lower")],
        str(place / "upper"),
        str(place / "work"),
        str(merged),
        userxattr=not is_root(),
    )
    try:
        (merged / "deleted").unlink()
        (merged / "made").mkdir()
        names = sorted(os.listdir(merged))
    finally:
        mounts.unmount(str(merged), mounts.MNT_DETACH)
    if names != ["kept", "made"]:
        raise OSError(0, f"the merged folder shows {names}")
    if not (place / "lower" / "deleted").exists():
        raise OSError(0, "a deletion reached the layer below")


def _remove(place: Path) -> None:
    # overlayfs leaves an empty folder there that not even its owner may list.
    inner = place / "work" / "work"
    if inner.exists():
        inner.chmod(0o700)
    shutil.rmtree(place, ignore_errors=True)


def _idmap() -> str:
    ids = idmap.container_range()
    users = idmap.make_user_namespace([ids], [ids])
    try:
        reason = idmapped_layers.why_not(str(_storage()), users, ids)
    finally:
        os.close(users)
    if not reason:
        return ""
    raise Lacking(
        "limited",
        f"{reason[0].upper()}{reason[1:]}. So every image is copied once, with shifted owners: its "
        "first container starts later, and it takes twice the room.",
        "Set CELLCRATE_HOME to a folder on ext4, xfs, btrfs or tmpfs, with Linux 5.19 or later.",
    )
