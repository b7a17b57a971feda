"""The files that a build may copy: a folder, as an archive, with the Dockerfile added to it.

The Dockerfile of a cell lies in no folder. As docker's command line does with a Dockerfile from its
standard input, it goes into the archive under a name that .dockerignore then excludes, so that
``COPY . .`` does not find it (docker/cli, build.AddDockerfileToBuildContext). The name is always
the same, so that the engine's cache knows the files again.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from cellcrate.errors import UsageError

__all__ = ["NAME", "archive", "check_folder", "ignored"]

#: The Dockerfile's name in the archive.
NAME = ".cellcrate.dockerfile"


def check_folder(text: str) -> Path:
    """Return the folder that a word names.

    Raises:
        UsageError: There is none, or it is an address.
    """
    if "://" in text or text.startswith("git@"):
        raise UsageError(
            f"{text} is no folder of this machine. Fetch it first (git clone), and name the folder."
        )
    folder = Path(text).expanduser().resolve()
    if not folder.is_dir():
        raise UsageError(f"There is no folder {text} on this machine.")
    return folder


def ignored(folder: Path) -> list[str]:
    """Return the patterns of a folder's .dockerignore.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        text = (folder / ".dockerignore").read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{folder / '.dockerignore'} cannot be read: {error}") from None
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def archive(dockerfile: str, folder: Path | None) -> IO[bytes]:
    """Return the archive to send, on disk, without a name.

    Raises:
        UsageError: A file of the folder cannot be read.
    """
    from docker.utils.build import create_archive, tar

    if folder is None:
        # As in the other case, so that the engine's steps are the same whether there are files.
        extra = [(".dockerignore", f".dockerignore\n{NAME}"), (NAME, dockerfile)]
        made: Any = create_archive("/", files=[], extra_files=extra)
        return made  # type: ignore[no-any-return]
    try:
        made = tar(str(folder), exclude=ignored(folder), dockerfile=(NAME, dockerfile))
    except OSError as error:
        with suppress(AttributeError):
            error = error.__cause__ or error  # type: ignore[assignment]
        raise UsageError(
            f"The folder {folder} cannot be sent to the engine: {error}. Files that a build does "
            "not need are best named in .dockerignore."
        ) from None
    return made  # type: ignore[no-any-return]
