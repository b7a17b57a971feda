"""Files go into a container and come out of it, as tar archives.

What becomes of a path follows docker's reference, "docker container cp": a folder that exists takes
the source in under its name; a path that does not exist becomes the source; a source folder that
ends in ``/.`` means its contents.
"""

from __future__ import annotations

import base64
import json
import posixpath
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cellcrate.cells.unpacking import UnsafeArchiveError, unpack
from cellcrate.errors import CellcrateError
from cellcrate.http import checked, container_url

__all__ = ["Place", "copy_in", "copy_out"]

#: The bit of a folder in the mode that the engine reports (Go's io/fs, FileMode).
MODE_FOLDER = 1 << 31

#: Archives up to this size stay in memory, in bytes.
IN_MEMORY = 4 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """A path in a container, or, without a container, on this machine."""

    container: str
    path: str


def copy_out(api: Any, source: Place, target: Path, written: str) -> None:
    """Copy a file or a folder out of a container.

    Args:
        api: docker-py's low-level client.
        source: The path in the container.
        target: The path on this machine.
        written: The same as the person wrote it: a final "/" asks for a folder.

    Raises:
        CellcrateError: The target's folder is missing, the archive leads outside of it, or the
            source is the whole file system.
    """
    if not posixpath.normpath(f"./{source.path}").strip("./"):
        raise CellcrateError("Name a file or a folder: not all of a container can be copied.")
    chunks, stat = api.get_archive(source.container, source.path)
    is_folder = bool(stat["mode"] & MODE_FOLDER)
    name = _new_name(
        _base(source.path) or posixpath.basename(stat["name"]),
        contents=is_folder and source.path.endswith("/."),
        target_is_folder=target.is_dir(),
    )
    if name is None and not target.parent.is_dir():
        raise CellcrateError(f"There is no folder {target.parent}. Make it first.")
    if name is None and not is_folder and written.endswith("/"):
        raise CellcrateError(f"There is no folder {written}. Make it first.")
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as spool:
        for chunk in chunks:
            spool.write(chunk)
        spool.seek(0)
        folder = target if name is not None else target.parent
        try:
            unpack(spool, folder, name or target.name)
        except (tarfile.TarError, UnsafeArchiveError) as error:
            raise CellcrateError(
                f"{source.path} was not copied as a whole: {error}. %container exec can make an "
                "archive of it inside the container."
            ) from None
        except OSError as error:
            raise CellcrateError(f"{error.filename or folder}: {error.strerror}.") from None


def _base(path: str) -> str:
    name = posixpath.basename(path.rstrip("/"))
    return "" if name in (".", "..") else name


def _new_name(base: str, *, contents: bool, target_is_folder: bool) -> str | None:
    """Return what the source is called in the target; None where it becomes the target."""
    if not target_is_folder:
        return None
    return "." if contents else base


def copy_in(api: Any, source: Path, written: str, target: Place) -> None:
    """Copy a file or a folder into a container.

    Args:
        api: docker-py's low-level client.
        source: The path on this machine.
        written: The same as the person wrote it: a final "/." means the folder's contents.
        target: The path in the container.

    Raises:
        CellcrateError: There is no such file, or a file stands where a folder has to be.
    """
    if not source.exists():
        raise CellcrateError(f"There is no file {written} on this machine.")
    exists, is_folder = _stat(api, target)
    contents = written.endswith("/.") and source.is_dir()
    if not exists and target.path.endswith("/") and not source.is_dir():
        raise CellcrateError(f"There is no folder {target.path} in {target.container}.")
    if exists and is_folder:
        folder, name = target.path, "." if contents else source.resolve().name
    elif exists and source.is_dir():
        raise CellcrateError(f"{target.path} in {target.container} is a file, not a folder.")
    else:
        folder, name = posixpath.split(target.path.rstrip("/"))
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as spool:
        _pack(spool, source, name)
        spool.seek(0)
        api.put_archive(target.container, folder or "/", spool)


def _pack(spool: IO[bytes], source: Path, name: str) -> None:
    with tarfile.open(fileobj=spool, mode="w") as archive:
        archive.add(source, arcname=name)


def _stat(api: Any, place: Place) -> tuple[bool, bool]:
    """Tell whether a path in a container exists, and whether it is a folder."""
    url = container_url(api, place.container, "archive")
    response = api.head(url, params={"path": place.path}, timeout=api.timeout)
    if response.status_code == 404:
        # The container may be what is missing: this names it then.
        api.inspect_container(place.container)
        return False, False
    header = checked(response).headers["X-Docker-Container-Path-Stat"]
    stat = json.loads(base64.b64decode(header))
    return True, bool(stat["mode"] & MODE_FOLDER)
