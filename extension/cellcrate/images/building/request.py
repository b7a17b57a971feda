"""From a magic's line and its cell to a request that builds an image."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cellcrate.errors import UsageError
from cellcrate.images.building.context import check_folder
from cellcrate.options import Group, Parsed
from cellcrate.options.build import BUILD_GROUPS, CELL_BUILD_GROUPS
from cellcrate.options.option import Body

__all__ = ["Build", "cell_build", "folder_build"]

_IN_A_FOLDER = "Dockerfile"


@dataclass(slots=True)
class Build:
    """An image to be built.

    Attributes:
        dockerfile: The Dockerfile's text.
        tags: The names that the image gets.
        parameters: The parameters of ImageBuild.
        folder: The files that COPY and ADD find; None for none.
        secrets: What RUN --mount=type=secret finds, by id.
        quiet: Whether no step is shown.
        plain: Whether steps are written as text, in a notebook, too.
    """

    dockerfile: str
    tags: tuple[str, ...] = ()
    parameters: Body = field(default_factory=dict)
    folder: Path | None = None
    # Not in repr: what stands there may come into a traceback, and so into a saved notebook.
    secrets: dict[str, bytes] = field(default_factory=dict, repr=False)
    quiet: bool = False
    plain: bool = False


def cell_build(parsed: Parsed, cell: str) -> Build:
    """Return the request of ``%%image``.

    Raises:
        UsageError: There is no name, or no Dockerfile.
    """
    if len(parsed.words) != 1:
        raise UsageError("%%image needs one name for the image: %%image greeter.")
    if not cell.strip():
        raise UsageError(
            "The cell is empty: write a Dockerfile below the line, beginning with FROM IMAGE."
        )
    folder = check_folder(parsed.get("context")) if "context" in parsed else None
    return _build(parsed, CELL_BUILD_GROUPS, cell, tuple(parsed.words), folder)


def folder_build(parsed: Parsed) -> Build:
    """Return the request of ``%image build``.

    Raises:
        UsageError: There is no folder, or no Dockerfile in it.
    """
    if len(parsed.words) != 1:
        raise UsageError("%image build needs one folder: %image build -t NAME FOLDER.")
    folder = check_folder(parsed.words[0])
    # As docker has it: --file is looked for from here, and the default in the folder.
    file = Path(parsed.get("file")).expanduser() if "file" in parsed else folder / _IN_A_FOLDER
    try:
        dockerfile = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"There is no file {file}. --file names another Dockerfile.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    return _build(parsed, BUILD_GROUPS, dockerfile, tuple(parsed.get("tag", ())), folder)


def _build(
    parsed: Parsed,
    groups: tuple[Group, ...],
    dockerfile: str,
    tags: tuple[str, ...],
    folder: Path | None,
) -> Build:
    for tag in tags:
        check_name(tag)
    build = Build(
        dockerfile=dockerfile,
        tags=tags,
        folder=folder,
        secrets=dict(parsed.get("secret", ())),
        quiet=parsed.on("quiet"),
        plain=parsed.get("progress") == "plain",
    )
    for option in (option for group in groups for option in group.options):
        if option.put is not None and option.key in parsed:
            option.put(build.parameters, parsed.get(option.key))
    return build


def check_name(name: str) -> None:
    """Refuse what cannot be an image's name, before anything is sent.

    Raises:
        UsageError: It is none.
    """
    # The package as a whole: while another thread imports it (cellcrate.warmup), a part of it alone
    # finds the other parts half-made.
    import docker

    if not docker.utils.match_tag(name):
        raise UsageError(
            f"{name!r} cannot be an image's name. Write small letters, digits, - and _, and "
            "perhaps a tag: greeter, greeter:2, localhost:5000/team/greeter:2."
        )
