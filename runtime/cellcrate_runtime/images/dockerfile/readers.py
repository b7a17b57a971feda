"""One function an instruction: a statement becomes what it means.

Source: the reference of the Dockerfile format; messages are Docker's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from cellcrate_runtime.images.dockerfile import arguments
from cellcrate_runtime.images.dockerfile.arguments import Flags
from cellcrate_runtime.images.dockerfile.errors import DockerfileError, suggestion
from cellcrate_runtime.images.dockerfile.healthcheck import read_healthcheck
from cellcrate_runtime.images.dockerfile.heredocs import Heredoc, parse_heredoc
from cellcrate_runtime.images.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Instruction,
    Label,
    Maintainer,
    OnBuild,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from cellcrate_runtime.images.dockerfile.statements import Statement, split_statement

__all__ = ["reader_of"]

Reader: TypeAlias = Callable[[Statement, str], Instruction]


def reader_of(keyword: str) -> Reader:
    """Return what understands statements with a keyword; it takes them and the escape character.

    Raises:
        DockerfileError: There is no such instruction.
    """
    reader = _READERS.get(keyword)
    if reader is None:
        near = suggestion(keyword, [*_READERS, "FROM"])
        raise DockerfileError(f"unknown instruction: {keyword}{near}")
    return reader


def _arg(statement: Statement, escape: str) -> Arg:
    Flags(statement)
    words = arguments.quoted_words(statement.rest, escape)
    if not words:
        raise DockerfileError("ARG requires at least one argument")
    found: list[tuple[str, str | None]] = []
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise DockerfileError("ARG names can not be blank")
        found.append((name, value if equals else None))
    return Arg(line=statement.line, text=statement.text, pairs=tuple(found))


def _run(statement: Statement, _: str) -> Run:
    flags = Flags(statement, ["mount", "network", "security", "device"], repeatable=["mount"])
    for name in ("security", "device"):
        if flags.all(name) and flags.get(name) != "sandbox":
            raise DockerfileError(
                f"RUN --{name} is not supported: a build's containers get no more rights than "
                "others. Leave the flag out"
            )
    network = flags.get("network")
    if network not in ("", "default", "none", "host"):
        raise DockerfileError(f'invalid network mode "{network}". It can be default, none or host')
    command = arguments.command(statement.rest)
    if not command.words:
        raise DockerfileError("RUN requires at least one argument")
    return Run(
        line=statement.line,
        text=statement.text,
        command=command,
        heredocs=statement.heredocs,
        mounts=flags.all("mount"),
        network=network,  # type: ignore[arg-type]  # checked above
    )


def _files(statement: Statement) -> tuple[tuple[str, ...], tuple[Heredoc, ...], str]:
    """The sources, those that are heredocs, and the destination of a COPY or ADD."""
    words = arguments.json_words(statement.rest)
    if words is None:
        words = arguments.plain_words(statement.rest)
    if len(words) < 2:
        raise DockerfileError(
            f"{statement.keyword} requires at least two arguments, but only {len(words)} "
            "provided. Destination could not be determined"
        )
    *sources, destination = words
    begun = {heredoc.name: heredoc for heredoc in statement.heredocs}
    if begun and parse_heredoc(destination) is not None:
        raise DockerfileError(f"{statement.keyword} cannot accept a heredoc as a destination")
    paths: list[str] = []
    contents: list[Heredoc] = []
    for source in sources:
        heredoc = parse_heredoc(source) if begun else None
        if heredoc is not None and heredoc.name in begun:
            contents.append(begun[heredoc.name])
        else:
            paths.append(source)
    return tuple(paths), tuple(contents), destination


def _copy(statement: Statement, _: str) -> Copy:
    flags = Flags(
        statement, ["from", "chown", "chmod", "exclude"], ["link", "parents"], ["exclude"]
    )
    sources, contents, destination = _files(statement)
    return Copy(
        line=statement.line,
        text=statement.text,
        sources=sources,
        contents=contents,
        destination=destination,
        chown=flags.get("chown"),
        chmod=flags.get("chmod"),
        link=flags.is_on("link"),
        excludes=flags.all("exclude"),
        parents=flags.is_on("parents"),
        origin=flags.get("from"),
    )


def _add_files(statement: Statement, _: str) -> Add:
    flags = Flags(
        statement,
        ["chown", "chmod", "exclude", "checksum"],
        ["link", "parents", "keep-git-dir", "unpack"],
        ["exclude"],
    )
    sources, contents, destination = _files(statement)
    return Add(
        line=statement.line,
        text=statement.text,
        sources=sources,
        contents=contents,
        destination=destination,
        chown=flags.get("chown"),
        chmod=flags.get("chmod"),
        link=flags.is_on("link"),
        excludes=flags.all("exclude"),
        parents=flags.is_on("parents"),
        checksum=flags.get("checksum"),
        unpack=flags.switch("unpack"),
    )


def _env(statement: Statement, escape: str) -> Env:
    Flags(statement)
    found = arguments.pairs(statement.rest, escape, "ENV")
    return Env(line=statement.line, text=statement.text, pairs=found)


def _label(statement: Statement, escape: str) -> Label:
    Flags(statement)
    found = arguments.pairs(statement.rest, escape, "LABEL")
    return Label(line=statement.line, text=statement.text, pairs=found)


def _one(statement: Statement) -> str:
    Flags(statement)
    if not statement.rest:
        raise DockerfileError(f"{statement.keyword} requires exactly one argument")
    return statement.rest


def _workdir(statement: Statement, _: str) -> Workdir:
    return Workdir(line=statement.line, text=statement.text, path=_one(statement))


def _user(statement: Statement, _: str) -> User:
    return User(line=statement.line, text=statement.text, name=_one(statement))


def _stop_signal(statement: Statement, _: str) -> StopSignal:
    return StopSignal(line=statement.line, text=statement.text, signal=_one(statement))


def _maintainer(statement: Statement, _: str) -> Maintainer:
    return Maintainer(line=statement.line, text=statement.text, name=_one(statement))


def _cmd(statement: Statement, _: str) -> Cmd:
    Flags(statement)
    command = arguments.command(statement.rest)
    return Cmd(line=statement.line, text=statement.text, command=command)


def _entrypoint(statement: Statement, _: str) -> Entrypoint:
    Flags(statement)
    command = arguments.command(statement.rest)
    return Entrypoint(line=statement.line, text=statement.text, command=command)


def _words_or_json(statement: Statement) -> tuple[str, ...]:
    Flags(statement)
    words = arguments.json_words(statement.rest)
    if words is None:
        words = arguments.plain_words(statement.rest)
    if not words:
        raise DockerfileError(f"{statement.keyword} requires at least one argument")
    return tuple(words)


def _expose(statement: Statement, _: str) -> Expose:
    Flags(statement)
    words = arguments.plain_words(statement.rest)
    if not words:
        raise DockerfileError("EXPOSE requires at least one argument")
    return Expose(line=statement.line, text=statement.text, ports=tuple(sorted(words)))


def _volume(statement: Statement, _: str) -> Volume:
    paths = _words_or_json(statement)
    if not all(path.strip() for path in paths):
        raise DockerfileError("VOLUME specified can not be an empty string")
    return Volume(line=statement.line, text=statement.text, paths=paths)


def _shell(statement: Statement, _: str) -> Shell:
    Flags(statement)
    words = arguments.json_words(statement.rest)
    if words is None:
        raise DockerfileError(
            'SHELL requires the arguments to be in JSON form: SHELL ["/bin/sh", "-c"]'
        )
    if not words:
        raise DockerfileError("SHELL requires at least one argument")
    return Shell(line=statement.line, text=statement.text, words=tuple(words))


def _on_build(statement: Statement, escape: str) -> OnBuild:
    Flags(statement)
    if not statement.rest:
        raise DockerfileError("ONBUILD requires at least one argument")
    trigger = split_statement(statement.rest, escape, statement.line)
    if trigger.keyword == "ONBUILD":
        raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger.keyword in ("MAINTAINER", "FROM"):
        raise DockerfileError(f"{trigger.keyword} isn't allowed as an ONBUILD trigger")
    expression = statement.rest
    for heredoc in statement.heredocs:
        expression += f"\n{heredoc.content}{heredoc.name}"
    # What is wrong with it is said now, and not in a later build of another image.
    reader_of(trigger.keyword)(replace(trigger, heredocs=statement.heredocs), escape)
    return OnBuild(line=statement.line, text=statement.text, expression=expression)


_READERS: dict[str, Reader] = {
    "ADD": _add_files,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": read_healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _on_build,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
