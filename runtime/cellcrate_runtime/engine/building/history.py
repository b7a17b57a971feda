"""Steps as an image's history shows them (``created_by``), in the form of Docker's classic builder.

That form was chosen over BuildKit's because it is the classic builder's API that is served, and
because it has the digest of what COPY and ADD copied, so that ``--cache-from`` can tell from an
image alone whether a step would make the same again.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cellcrate_runtime.images.dockerfile.instructions import (
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Files,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    OnBuild,
    Pair,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)

__all__ = ["describe", "describe_copy", "describe_run"]

_NOTHING = "/bin/sh -c #(nop) "


def describe_run(arguments: Sequence[str], words: Sequence[str]) -> str:
    """A RUN: the build arguments that it had, and the program."""
    known = f"|{len(arguments)} {' '.join(arguments)} " if arguments else ""
    return known + " ".join(words)


def describe_copy(instruction: Files, digest: str, destination: str) -> str:
    """A COPY or ADD, by the digest of what is copied."""
    keyword = "COPY" if isinstance(instruction, Copy) else "ADD"
    return f"{_NOTHING}{keyword} multi:{digest} in {destination} "


def describe(instruction: Instruction, value: object) -> str:
    """Any other instruction.

    Args:
        instruction: With its variables replaced.
        value: For CMD and ENTRYPOINT the words that the configuration gets; else nothing.
    """
    return f"{_NOTHING} {_words(instruction, value)}"


def _words(instruction: Instruction, value: object) -> str:
    match instruction:
        case Arg():
            pairs = [n if v is None else f"{n}={v}" for n, v in instruction.pairs]
            return f"ARG {' '.join(pairs)}"
        case Env():
            return f"ENV {_pairs(instruction.pairs)}"
        case Label():
            return f"LABEL {_pairs(instruction.pairs)}"
        case Workdir():
            return f"WORKDIR {value}"
        case User():
            return f"USER {instruction.name}"
        case Cmd() | Entrypoint():
            return f"{type(instruction).__name__.upper()} {_list(value)}"
        case Expose():
            return f"EXPOSE {' '.join(instruction.ports)}"
        case Volume():
            return f"VOLUME {_list(instruction.paths)}"
        case Shell():
            return f"SHELL {_list(instruction.words)}"
        case StopSignal():
            return f"STOPSIGNAL {instruction.signal}"
        case Healthcheck():
            # The options too: the text is what the step's key is made of.
            return instruction.text
        case OnBuild():
            return f"ONBUILD {instruction.expression}"
        case Maintainer():
            return f"MAINTAINER {instruction.name}"
        case _:
            return instruction.text


def _pairs(pairs: Sequence[Pair]) -> str:
    return " ".join(f"{name}={value}" for name, value in pairs)


def _list(words: object) -> str:
    """Words in quotes and brackets, with blanks between them, as Go prints them."""
    assert isinstance(words, Sequence)
    return "[" + " ".join(msgspec.json.encode(word).decode() for word in words) + "]"
