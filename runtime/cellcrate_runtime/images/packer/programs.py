"""Packing a program of this machine, as ``cellcrate image pack`` does it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cellcrate_runtime.images.documents import Execution
from cellcrate_runtime.images.errors import PackError
from cellcrate_runtime.images.image import BASE_REFERENCE, Image
from cellcrate_runtime.images.packer.assemble import Step, add_image
from cellcrate_runtime.images.packer.base import PATH
from cellcrate_runtime.images.packer.below import UnpackedLayers
from cellcrate_runtime.images.packer.libraries import Libraries
from cellcrate_runtime.images.packer.plan import Plan
from cellcrate_runtime.images.packer.python import add_python
from cellcrate_runtime.images.packer.pythons import interpreter, python_at
from cellcrate_runtime.images.packer.system_files import system_name
from cellcrate_runtime.images.packer.tools import FOLDERS, LOADED_BY_NAME, find_program, shebang
from cellcrate_runtime.images.references import Reference, parse

if TYPE_CHECKING:
    from cellcrate_runtime.images.store import ImageStore

__all__ = ["MACHINE_LABEL", "ORIGINS_LABEL", "Addition", "Request", "pack"]

# Where a program goes that has its home on this machine outside the system's folders.
OWN_PROGRAMS = "/usr/local/bin"
# A JSON object: names in the image, and the paths on the machine where it was packed.
ORIGINS_LABEL = "org.cellcrate.packed.from"
MACHINE_LABEL = "org.cellcrate.packed.on"
_variable = re.compile(r"[^=\0]+=[^\0]*")


@dataclass(frozen=True, slots=True)
class Addition:
    """A file or folder of this machine, and its name in the image.

    Without a name it goes into the working directory under its own; with one that ends in a slash,
    into the folder of that name.
    """

    source: Path
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What to pack.

    Attributes:
        programs: Names, looked for on PATH, or paths.
        base: An image to build upon; None for an image of these programs alone.
        entrypoint: What its containers run; None for the first program.
    """

    programs: Sequence[str] = ()
    additions: Sequence[Addition] = ()
    base: str | None = None
    tag: str | None = None
    entrypoint: Sequence[str] | None = None
    cmd: Sequence[str] | None = None
    env: Sequence[str] = ()
    workdir: str | None = None


def pack(store: ImageStore, request: Request) -> Image:
    """Make an image of programs, the libraries that they need, and other files.

    Raises:
        PackError: Something cannot be found, read, or brought together; nothing is kept then.
        InvalidReferenceError: The tag cannot be the name of an image.
        ImageNotFoundError: There is no such base image.
    """
    reference = _check(request)
    with store.adding():
        return _pack(store, request, reference)


def _pack(store: ImageStore, request: Request, reference: Reference) -> Image:
    base = _base(store, request.base)
    plan = Plan(below=UnpackedLayers(store.lower_dirs(base)) if base else None)
    packer = _Packer(plan)
    packer.plan.add_folder("/tmp", 0o1777)
    names = [packer.add_program(program) for program in request.programs]
    workdir = request.workdir or (base.config.execution.working_dir if base else None)
    for addition in request.additions:
        packer.add(addition, workdir or "/")
    if request.workdir:
        packer.add_workdir(request.workdir)
    return add_image(
        store,
        [Step(plan, _described(request))],
        _execution(request, names, base, plan),
        reference,
        base=base,
    )


class _Packer:
    """Brings programs and files into a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._libraries = Libraries(plan)

    def add_program(self, program: str) -> str:
        """Add a program with what it needs to run, and return its name in the image."""
        path = Path(program) if "/" in program else find_program(program)
        if path is None or not os.path.isfile(path):
            raise PackError(
                f'cannot find the program "{program}". Give its path, or a name that is on PATH.'
            )
        path = Path(os.path.abspath(path))
        if not os.access(path, os.X_OK):
            raise PackError(f"{path} may not be executed. To pack it as a file, use --add {path}.")
        python = python_at(path)
        if python is not None:
            return add_python(self.plan, Libraries(self.plan, strip=True), python)
        system = str(path.parent) in FOLDERS
        name = str(path) if system else f"{OWN_PROGRAMS}/{path.name}"
        elf = self._libraries.add(path, name)
        self.plan.came_from(name, path)
        if elf is None:
            self._add_interpreter(path)
        else:
            for library in LOADED_BY_NAME:
                self._libraries.add_library(library, like=elf)
        return name

    def add(self, addition: Addition, workdir: str) -> None:
        """Add a file or a folder with everything in it."""
        source = Path(os.path.abspath(addition.source))
        name = addition.name or f"{workdir}/"
        if name.endswith("/"):
            name += source.name
        if not name.startswith("/"):
            name = f"{workdir}/{name}"
        self.plan.came_from(name, source)
        if not os.path.isdir(source):
            self._libraries.add(source, name)
            return
        self.plan.add_folder(name)
        for folder, folders, files in os.walk(source, onerror=_fail):
            folders.sort()
            inside = os.path.normpath(f"{name}/{os.path.relpath(folder, source)}")
            for entry in sorted([*folders, *files]):
                self._add_entry(Path(folder, entry), f"{inside}/{entry}")

    def add_workdir(self, name: str) -> None:
        """See to it that the working directory is there."""
        if name not in self.plan:
            self.plan.add_folder(name)

    def _add_entry(self, source: Path, name: str) -> None:
        status = source.lstat()
        if stat.S_ISLNK(status.st_mode):
            self.plan.add_link(name, os.readlink(source))
        elif stat.S_ISDIR(status.st_mode):
            self.plan.add_folder(name)
        else:
            self._libraries.add(source, name)

    def _add_interpreter(self, script: Path) -> None:
        words = shebang(script)
        if not words:
            raise PackError(
                f"{script} is neither machine code nor a script with a first line such as "
                f'"#!/bin/sh". To pack it as a file, use --add {script}.'
            )
        self._add_if_missing(words[0], script)
        if os.path.basename(words[0]) == "env":
            named = next((w for w in words[1:] if not w.startswith("-") and "=" not in w), None)
            if named is not None:
                self._add_if_missing(named, script)

    def _add_if_missing(self, program: str, script: Path) -> None:
        given = "/" in program and os.path.isfile(program)
        path = Path(program) if given else find_program(os.path.basename(program))
        wanted = program if "/" in program else f"/usr/bin/{program}"
        if wanted in self.plan:
            return
        if path is None:
            raise PackError(f"{script} is run by {program}, which this machine does not have.")
        if "python" not in path.name:
            self._libraries.add(path, wanted)
            self.plan.came_from(wanted, path)
        elif self.plan.below is None and _is_this_python(program):
            add_python(self.plan, Libraries(self.plan, strip=True))
        if wanted not in self.plan:
            raise PackError(
                f"{script} is run by {program}, which is more than a program and its libraries. "
                f"Build upon an image that has it, such as this one: --from {BASE_REFERENCE}"
            )


def _is_this_python(program: str) -> bool:
    """Whether a name such as ``python3`` means the kind of Python that this is."""
    return interpreter().name.startswith(os.path.basename(program))


def _check(request: Request) -> Reference:
    """Refuse what cannot be meant, before anything is done."""
    if not request.programs and not request.additions:
        raise PackError("nothing to pack: name a program, or files with --add.")
    for variable in request.env:
        if _variable.fullmatch(variable) is None:
            raise PackError(f'"{variable}" is not a variable. Write NAME=value.')
    if request.workdir and not request.workdir.startswith("/"):
        raise PackError(f'the working directory "{request.workdir}" must begin with a slash.')
    if request.tag is None and not request.programs:
        raise PackError("an image of files alone has no name of itself: give it one with --tag.")
    tag = request.tag or os.path.basename(request.programs[0]).lower()
    return parse(tag).with_default_tag()


def _base(store: ImageStore, reference: str | None) -> Image | None:
    if reference is None:
        return None
    if parse(reference).with_default_tag() == parse(BASE_REFERENCE):
        return store.ensure_base()
    return store.get(reference)


def _execution(request: Request, names: Sequence[str], base: Image | None, plan: Plan) -> Execution:
    given = base.config.execution if base else Execution(env=[f"PATH={PATH}"])
    changes: dict[str, object] = {"env": _merged_env(given.env or [], request.env)}
    if request.entrypoint is not None:
        changes.update(entrypoint=list(request.entrypoint), cmd=None)
    elif names:
        changes.update(entrypoint=[names[0]], cmd=None)
    if request.cmd is not None:
        changes["cmd"] = list(request.cmd)
    if request.workdir:
        changes["working_dir"] = request.workdir
    changes["labels"] = {**(given.labels or {}), **_labels(given, plan)}
    return msgspec.structs.replace(given, **changes)


def _labels(below: Execution, plan: Plan) -> dict[str, str]:
    """Where all that was packed came from: the machine, and each thing's place on it."""
    known = (below.labels or {}).get(ORIGINS_LABEL, "{}")
    try:
        older = msgspec.json.decode(known, type=dict[str, str])
    except msgspec.DecodeError:
        older = {}  # somebody else's label of this name
    origins = dict(sorted({**older, **plan.origins}.items()))
    return {
        ORIGINS_LABEL: msgspec.json.encode(origins).decode(),
        MACHINE_LABEL: system_name(),
    }


def _merged_env(below: Sequence[str], above: Sequence[str]) -> list[str]:
    variables = dict(variable.partition("=")[::2] for variable in [*below, *above])
    return [f"{name}={value}" for name, value in variables.items()]


def _described(request: Request) -> str:
    words = [*request.programs]
    words += [f"--add {addition.source}" for addition in request.additions]
    return f"cellcrate image pack {' '.join(words)}"


def _fail(error: OSError) -> None:
    raise PackError(f"cannot pack {error.filename}: {error.strerror}") from error
