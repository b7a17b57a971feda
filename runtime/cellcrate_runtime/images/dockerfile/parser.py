"""A Dockerfile becomes stages of instructions.

Source: the reference of the Dockerfile format; messages are Docker's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from cellcrate_runtime.images.dockerfile import arguments
from cellcrate_runtime.images.dockerfile.arguments import Flags
from cellcrate_runtime.images.dockerfile.errors import DockerfileError
from cellcrate_runtime.images.dockerfile.instructions import Arg, Instruction, Stage
from cellcrate_runtime.images.dockerfile.readers import reader_of
from cellcrate_runtime.images.dockerfile.statements import Statement, read_source

__all__ = ["Dockerfile", "parse", "parse_instruction"]

_STAGE_NAME = re.compile(r"[a-z][a-z0-9._-]*")


@dataclass(slots=True)
class Dockerfile:
    """A whole Dockerfile.

    Attributes:
        arguments: The ARGs before the first FROM.
        stages: The stages, in their order; there is at least one.
        escape: The escape character.
        syntax: What ``# syntax=`` names; empty without it.
        warnings: What works but should be written otherwise.
    """

    arguments: list[Arg] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    escape: str = "\\"
    syntax: str = ""
    warnings: list[str] = field(default_factory=list)


def parse(text: str) -> Dockerfile:
    """Understand a Dockerfile.

    Raises:
        DockerfileError: Something in it is wrong; the message says in which line.
    """
    source = read_source(text)
    found = Dockerfile(escape=source.escape, syntax=source.syntax, warnings=source.warnings)
    for statement in source.statements:
        try:
            _add(found, statement)
        except DockerfileError as error:
            raise error.at(statement.line) from None
    if not found.stages:
        raise DockerfileError("no build stage in current context: a Dockerfile needs a FROM")
    return found


def parse_instruction(text: str, escape: str = "\\") -> Instruction:
    """Understand an instruction alone, such as one of an image's ONBUILD.

    Raises:
        DockerfileError: Something in it is wrong.
    """
    source = read_source(f"# escape={escape}\n{text}\n")
    if len(source.statements) != 1 or source.statements[0].keyword == "FROM":
        raise DockerfileError(f"not one instruction: {text}")
    return reader_of(source.statements[0].keyword)(source.statements[0], escape)


def _add(found: Dockerfile, statement: Statement) -> None:
    if statement.keyword == "FROM":
        stage = _stage(statement)
        if stage.name and any(stage.name == other.name for other in found.stages):
            raise DockerfileError(f"duplicate name {stage.name}: a stage before has it")
        found.stages.append(stage)
        return
    instruction = reader_of(statement.keyword)(statement, found.escape)
    if found.stages:
        found.stages[-1].instructions.append(instruction)
    elif isinstance(instruction, Arg):
        found.arguments.append(instruction)
    else:
        raise DockerfileError(
            f"no build stage in current context: {statement.keyword} must come after a FROM, "
            "only ARG may come before it"
        )


def _stage(statement: Statement) -> Stage:
    flags = Flags(statement, ["platform"])
    words = arguments.plain_words(statement.rest)
    name = ""
    if len(words) == 3 and words[1].lower() == "as":
        name = words[2].lower()
        if _STAGE_NAME.fullmatch(name) is None:
            raise DockerfileError(
                f'invalid name for build stage: "{words[2]}", name can\'t start with a number or '
                "contain symbols"
            )
    elif len(words) != 1:
        raise DockerfileError(
            "FROM requires either one or three arguments: FROM IMAGE, or FROM IMAGE AS NAME"
        )
    return Stage(statement.line, statement.text, words[0], name, flags.get("platform"))
