"""Why a build failed, and what to do next."""

from __future__ import annotations

import re

from cellcrate.images.building.record import BuildRecord

__all__ = ["advice", "failure"]

_KILLED = 137
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126

#: What engines say, and what helps. The first that fits counts.
_KNOWN = (
    (
        r"no such file or directory|not found in build context|file not found|no source files",
        "COPY and ADD find what --context names: --context . is the notebook's folder. Without it "
        "there are no files. .dockerignore may leave some out, too.",
        ("COPY", "ADD"),
    ),
    (
        r"pull access denied|unauthorized|authentication required|requested access",
        "Look at the name after FROM; for an image that is not for everybody: %image login.",
        ("FROM",),
    ),
    (
        r"not found|manifest unknown|no such image|no such host|connection|cannot be pulled",
        "Look at the name after FROM, and at the engine's way to the registry. %image ls lists "
        "the images that are here; cellcrate/base needs no network.",
        ("FROM",),
    ),
    (
        r"unknown instruction|dockerfile parse error|parse error|no build stage",
        "A line begins with an instruction, such as FROM, RUN or COPY; a long one goes on after a "
        "\\ at its end.",
        (),
    ),
    (
        r"no space left",
        "%image prune removes images that nothing needs.",
        (),
    ),
    (
        r"buildkit|--mount|here-document|heredoc",
        "This engine's classic builder does not know that. Cellcrate's own does "
        "(%env CELLCRATE_HOST=embedded).",
        (),
    ),
)


def failure(record: BuildRecord) -> str:
    """Return what failed, in one or two sentences."""
    step = record.step
    if step is None:
        where = f"Line {record.line} of the Dockerfile" if record.line else "The build"
        return f"{where}: {_sentence(record.failure)}"
    where = f"Step {step.number} of {step.total} failed"
    if step.place is not None:
        where += f" (line {step.place.first} of the Dockerfile)"
    if record.code:
        return f"{where}: {step.text}\nIts exit status is {record.code}."
    return f"{where}: {step.text}\n{_sentence(record.failure)}"


def advice(record: BuildRecord) -> str:
    """Return what to do next; "" where only the output can say it."""
    if record.code:
        return _of_code(record.code)
    words = record.step.text.split() if record.step else []
    name = words[0].upper() if words else ""
    for pattern, text, names in _KNOWN:
        if (not names or name in names) and re.search(pattern, record.failure.lower()):
            return text
    return "" if record.step is None else "The steps before it stay in the build cache."


def _of_code(code: int) -> str:
    if code == _NOT_FOUND:
        return (
            "That means that a command was not found: the image after FROM has no program of that "
            "name. An earlier RUN can install it, or another image has it."
        )
    if code == _NOT_EXECUTABLE:
        return (
            "That means that a file was found and could not be run: it is no program, or lacks x."
        )
    if code == _KILLED:
        return (
            "That means that it was killed, most often because it ran out of memory: give it more "
            "with --memory."
        )
    return (
        "What it printed is above. The steps before it stay in the build cache: correct the line "
        "and run the cell again."
    )


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
