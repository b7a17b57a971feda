"""Variables of instructions: which instructions have them, and in which of their words.

RUN, CMD and ENTRYPOINT leave them to the shell that runs them. Source: the reference of the
Dockerfile format, "Environment replacement".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cellcrate_runtime.images.dockerfile.errors import DockerfileError
from cellcrate_runtime.images.dockerfile.heredocs import Heredoc
from cellcrate_runtime.images.dockerfile.instructions import (
    Add,
    Copy,
    Env,
    Expose,
    Instruction,
    Label,
    Run,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from cellcrate_runtime.images.dockerfile.lexer import Style, expand, expand_words

__all__ = ["expand_instruction"]

Expand = Callable[[str], str]


def expand_instruction(
    instruction: Instruction, variables: Mapping[str, str], escape: str = "\\"
) -> Instruction:
    """Return an instruction with its variables replaced.

    Raises:
        DockerfileError: A substitution is wrong, or a variable that must have a value has none.
    """
    style = Style(escape=escape)

    def one(text: str) -> str:
        return expand(text, variables, style)

    try:
        if isinstance(instruction, Expose):
            ports = [w for text in instruction.ports for w in expand_words(text, variables, style)]
            return replace(instruction, ports=tuple(ports))
        if isinstance(instruction, Copy | Add):
            return _files(instruction, one, variables, escape)
        if isinstance(instruction, Env | Label):
            pairs = tuple((one(name), one(value)) for name, value in instruction.pairs)
            return _checked(replace(instruction, pairs=pairs))
        members = {name: _each(getattr(instruction, name), one) for name in _members(instruction)}
    except DockerfileError as error:
        raise error.at(instruction.line) from None
    return replace(instruction, **members) if members else instruction


def _members(instruction: Instruction) -> tuple[str, ...]:
    match instruction:
        case Workdir():
            return ("path",)
        case User():
            return ("name",)
        case StopSignal():
            return ("signal",)
        case Volume():
            return ("paths",)
        case Run():
            return ("mounts",)
        case _:
            # Also an ARG: its values may use those that come before them in the same instruction,
            # so whoever does it replaces one after the other.
            return ()


def _each(value: Any, one: Expand) -> Any:
    return tuple(map(one, value)) if isinstance(value, tuple) else one(value)


def _files(
    instruction: Copy | Add, one: Expand, variables: Mapping[str, str], escape: str
) -> Copy | Add:
    in_heredoc = Style(escape=escape, quotes_mean_nothing=True)

    def content(heredoc: Heredoc) -> Heredoc:
        if not heredoc.expands:
            return heredoc
        return replace(heredoc, content=expand(heredoc.content, variables, in_heredoc))

    changed = replace(
        instruction,
        sources=tuple(map(one, instruction.sources)),
        contents=tuple(map(content, instruction.contents)),
        destination=one(instruction.destination),
        chown=one(instruction.chown),
        chmod=one(instruction.chmod),
        excludes=tuple(map(one, instruction.excludes)),
    )
    if isinstance(changed, Add):
        return replace(changed, checksum=one(changed.checksum))
    return changed


def _checked(instruction: Env | Label) -> Env | Label:
    for name, _ in instruction.pairs:
        if not name:
            raise DockerfileError(f"{type(instruction).__name__.upper()} names can not be blank")
    return instruction
