"""Where a Python has its parts: the one that runs this, or another of this machine."""

from __future__ import annotations

import importlib.util
import json
import os
import posixpath
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from cellcrate_runtime.images.errors import PackError

__all__ = ["Python", "interpreter", "python_at", "this_python"]

_PATIENCE = 30  # seconds, for a Python to say where its parts are
_name = re.compile(r"python(3(\.\d+)?)?")
# Without the user's own modules and settings, and from a virtual environment of the one below it.
_QUESTION = """
import importlib.util, json, os, sys, sysconfig
print(json.dumps([
    getattr(sys, "_base_executable", None) or sys.executable, os.__file__, sys.platlibdir,
    "%d.%d" % sys.version_info[:2], sysconfig.get_config_var("DESTSHARED") or "",
    importlib.util.MAGIC_NUMBER.hex(), sys.implementation.cache_tag, sys.implementation.name,
]))
"""


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter and its standard library.

    Attributes:
        library_folder: The folder of libraries below the prefix: ``lib``, or ``lib64``.
        version: ``3.11``.
        extensions: The folder of the modules that are shared libraries.
        magic: What its bytecode begins with.
        cache_tag: What the names of its bytecode's files have in them.
    """

    program: Path
    standard_library: Path
    library_folder: str
    version: str
    extensions: Path
    magic: bytes
    cache_tag: str

    def bytecode_of(self, module: str) -> str:
        """Where its bytecode of a module is; PEP 3147."""
        folder, name = posixpath.split(module)
        return f"{folder}/__pycache__/{name.removesuffix('.py')}.{self.cache_tag}.pyc"


def interpreter() -> Path:
    """The program file of the Python that runs this, below any virtual environment.

    Raises:
        PackError: It cannot be told, as in a Python that is embedded in another program.
    """
    base = getattr(sys, "_base_executable", None) or sys.executable
    if not base or not os.access(base, os.X_OK):
        raise PackError("cannot find the program file of this Python, so it cannot be packed.")
    return Path(os.path.realpath(base))


def this_python() -> Python:
    """The Python that runs this."""
    return Python(
        program=interpreter(),
        standard_library=Path(os.path.realpath(os.__file__)).parent,
        library_folder=sys.platlibdir,
        version=f"{sys.version_info.major}.{sys.version_info.minor}",
        extensions=Path(sysconfig.get_config_var("DESTSHARED") or "/nowhere"),
        magic=importlib.util.MAGIC_NUMBER,
        cache_tag=sys.implementation.cache_tag or "",
    )


def python_at(path: Path) -> Python | None:
    """The Python that a program is, by its name and its own word; None if it is none.

    Raises:
        PackError: It is called like one, and does not say where its parts are.
    """
    if _name.fullmatch(path.name) is None:
        return None
    if Path(os.path.realpath(path)) == interpreter():
        return this_python()
    try:
        done = subprocess.run(
            [path, "-I", "-S", "-c", _QUESTION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=True,
        )
        program, module, folder, version, extensions, magic, tag, kind = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise PackError(f"{path} does not say where its standard library is: {error}") from error
    if kind != "cpython":
        raise PackError(f"{path} is a Python of another kind ({kind}), which cannot be packed.")
    return Python(
        program=Path(os.path.realpath(program)),
        standard_library=Path(os.path.realpath(module)).parent,
        library_folder=folder,
        version=version,
        extensions=Path(extensions or "/nowhere"),
        magic=bytes.fromhex(magic),
        cache_tag=tag,
    )
