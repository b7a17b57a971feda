"""Commands that look at images and change nothing."""

from __future__ import annotations

from typing import Any

from cellcrate.commands.command import (
    Command,
    each_image,
    filter_option,
    filters,
    link,
    options,
    switch,
)
from cellcrate.errors import UsageError
from cellcrate.options import Parsed
from cellcrate.widgets.table import Table
from cellcrate.widgets.words import age, human_size

__all__ = ["COMMANDS"]

SHORT_ID = 12
LONGEST_STEP = 60
NONE = "<none>"


def _ls(parsed: Parsed) -> Any:
    if len(parsed.words) > 1:
        raise UsageError("%image ls takes one name at most, to list the images of that name.")
    wanted = filters(parsed)
    if parsed.words:
        wanted["reference"] = parsed.words
    images = link().ask(lambda api: api.images(all=parsed.on("all"), filters=wanted))
    images.sort(key=lambda image: image.get("Created", 0), reverse=True)
    if parsed.on("quiet"):
        for image in images:
            print(_id(image, parsed))
        return None
    columns = ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]
    if parsed.on("digests"):
        columns.insert(2, "DIGEST")
    rows = [row for image in images for row in _rows(image, parsed)]
    return Table(columns, rows, "no images")


def _id(image: dict[str, Any], parsed: Parsed) -> str:
    whole = str(image["Id"])
    return whole if parsed.on("no_trunc") else whole.removeprefix("sha256:")[:SHORT_ID]


def _rows(image: dict[str, Any], parsed: Parsed) -> list[list[str]]:
    """Return a row for each name of an image."""
    tags = image.get("RepoTags") or []
    digests = [each.partition("@")[::2] for each in image.get("RepoDigests") or []]
    rest = [_id(image, parsed), age(image.get("Created", 0)), human_size(image.get("Size", 0))]
    rows = []
    for repository, tag in [_parts(tag) for tag in tags] or [(_nameless(digests), NONE)]:
        digest = next((digest for name, digest in digests if name == repository), NONE)
        rows.append([repository, tag, *([digest] if parsed.on("digests") else []), *rest])
    return rows


def _parts(tag: str) -> tuple[str, str]:
    repository, _, name = tag.rpartition(":")
    return repository, name


def _nameless(digests: list[tuple[str, ...]]) -> str:
    return digests[0][0] if digests else NONE


def _history(parsed: Parsed) -> Any:
    (name,) = each_image(parsed, "history", most=1)
    steps = link().ask(lambda api: api.history(name))
    whole = parsed.on("no_trunc")
    if parsed.on("quiet"):
        for step in steps:
            print(_short(step["Id"], whole))
        return None
    columns = ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"]
    return Table(columns, [_step(step, whole) for step in steps], "no history")


def _short(identity: str, whole: bool) -> str:
    return identity if whole else identity.removeprefix("sha256:")[:SHORT_ID]


def _step(step: dict[str, Any], whole: bool) -> list[str]:
    command = " ".join(str(step.get("CreatedBy") or "").split())
    if not whole and len(command) > LONGEST_STEP:
        command = f"{command[: LONGEST_STEP - 1]}…"
    created = step.get("Created") or 0
    return [
        _short(str(step.get("Id") or ""), whole),
        age(created) if created > 0 else "N/A",
        command,
        human_size(step.get("Size") or 0),
        str(step.get("Comment") or ""),
    ]


def _inspect(parsed: Parsed) -> Any:
    from cellcrate.images.view import open_image
    from cellcrate.widgets.document import Document

    to_engine = link()
    names = each_image(parsed, "inspect")
    found = [open_image(to_engine.engine, name) for name in names]
    if parsed.on("raw"):
        return Document(found[0].attrs if len(found) == 1 else [each.attrs for each in found])
    if len(found) == 1:
        return found[0]
    from IPython.display import display

    for image in found:
        display(image)
    return None


COMMANDS = (
    Command(
        name="ls",
        aliases=("list",),
        usage="[NAME[:TAG]]",
        summary="List images, the youngest first.",
        groups=options(
            switch("--all", "List those too that builds left in between.", "-a"),
            switch("--quiet", "Print ids alone.", "-q"),
            switch("--digests", "Show the digests by which registries know them."),
            switch("--no-trunc", "Shorten nothing."),
            filter_option("List what matches: dangling=true, label=tier=1, reference=app*."),
        ),
        words=("image",),
        run=_ls,
    ),
    Command(
        name="inspect",
        usage="IMAGE...",
        summary="Show images as the stacks of layers that they are, with the files in them.",
        groups=options(switch("--raw", "Show everything that the engine knows, as a document.")),
        words=("image",),
        run=_inspect,
    ),
    Command(
        name="history",
        usage="IMAGE",
        summary="List the steps by which an image came about, the last one first.",
        groups=options(
            switch("--no-trunc", "Shorten nothing."), switch("--quiet", "Print ids alone.", "-q")
        ),
        words=("image",),
        run=_history,
    ),
)
