"""A Python, packed: an interpreter and its standard library; mostly the one that runs Cellcrate.

Whatever its home on this machine (Debian's, pyenv's, conda's, uv's), in the image it lives in
``/usr/bin`` and ``/usr/lib``, where it finds its library by looking upwards from its own place;
see Modules/getpath.py of CPython. From a virtual environment, the Python below it is taken.
"""

from __future__ import annotations

import importlib.util
import io
import marshal
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from cellcrate_runtime.images.packer.libraries import Libraries
from cellcrate_runtime.images.packer.plan import Plan
from cellcrate_runtime.images.packer.pythons import Python, this_python

__all__ = ["add_python"]

# What containers do not need: tests, graphical parts, installers, converters, build files.
LEFT_OUT_FOLDERS = frozenset(
    {
        "__phello__", "__pycache__", "dist-packages", "distutils", "ensurepip", "idle_test",
        "idlelib", "lib2to3", "lib-dynload", "pydoc_data", "site-packages", "test", "tests",
        "tkinter", "turtledemo",
    }
)  # fmt: skip
LEFT_OUT_FILES = frozenset({"EXTERNALLY-MANAGED", "sitecustomize.py", "turtle.py"})
LEFT_OUT_EXTENSIONS = ("_test", "_tkinter.", "_xx", "xx", "_ctypes_test")
KEPT_SUFFIXES = (".py", ".txt", ".css", ".toml")
# Bytecode for these is made here where the machine has none, so that programs start fast; for the
# rest of the library it is taken along only where the machine has it already.
START_FOLDERS = (
    "asyncio", "collections", "concurrent", "ctypes", "email", "html", "http", "importlib",
    "json", "logging", "multiprocessing", "re", "sqlite3", "urllib",
)  # fmt: skip
# The header of a .pyc file: magic number, flags, time and size of the source; PEP 552.
PYC_HEADER = struct.Struct("<4sIII")


def add_python(plan: Plan, libraries: Libraries, python: Python | None = None) -> str:
    """Add a Python as ``python3.X``, ``python3`` and ``python``, with its standard library.

    Args:
        plan: Where it goes.
        libraries: Brings what it needs.
        python: Which; by default the one that runs this.

    Returns its name in the image.

    Raises:
        PackError: A part of it cannot be found or read.
    """
    python = python or this_python()
    home = f"/usr/{python.library_folder}/{python.standard_library.name}"
    program = f"python{python.version}"
    name = f"/usr/bin/{program}"
    if f"{home}/os.py" in plan and name in plan:
        return name  # the image below has it
    libraries.add(python.program, name)
    plan.came_from(name, python.program)
    plan.came_from(home, python.standard_library)
    plan.add_link("/usr/bin/python3", program)
    plan.add_link("/usr/bin/python", "python3")
    _add_modules(plan, python, home)
    for extension in _extension_modules(python):
        libraries.add(extension, f"{home}/lib-dynload/{extension.name}")
    return name


def _add_modules(plan: Plan, python: Python, home: str) -> None:
    standard_library = python.standard_library
    for folder, folders, files in os.walk(standard_library):
        inside = Path(folder).relative_to(standard_library)
        folders[:] = sorted(
            name
            for name in folders
            if name not in LEFT_OUT_FOLDERS and not name.startswith("config-")
        )
        for name in sorted(files):
            source = Path(folder, name)
            if not name.endswith(KEPT_SUFFIXES) or name in LEFT_OUT_FILES:
                continue
            # Distributions put links here to files of /etc, which need not exist or be readable.
            if not os.access(source, os.R_OK):
                continue
            target = os.path.normpath(f"{home}/{inside}/{name}")
            plan.add_file(target, source)
            if name.endswith(".py"):
                _add_bytecode(plan, python, source, target, wanted=_starts(inside))


def _starts(inside: Path) -> bool:
    return not inside.parts or inside.parts[0] in START_FOLDERS


def _extension_modules(python: Python) -> Iterator[Path]:
    """The modules that are shared libraries; some builds have them all inside the interpreter."""
    folders = {python.standard_library / "lib-dynload", python.extensions}
    found = {
        path.name: path
        for folder in sorted(folders)
        if os.path.isdir(folder)
        for path in folder.iterdir()
        if path.suffix == ".so" and not path.name.startswith(LEFT_OUT_EXTENSIONS)
    }
    for name in sorted(found):
        yield found[name]


def _add_bytecode(plan: Plan, python: Python, source: Path, target: str, *, wanted: bool) -> None:
    """Add a module's bytecode as the interpreter in the image will look for it.

    It is bound to the source by its time and size; both are the same in the image.
    """
    status = source.stat()
    code = _bytecode_of(python, source, status)
    if code is None and wanted and python.magic == importlib.util.MAGIC_NUMBER:
        code = _compiled(source, target)
    if code is None:
        return
    time, size = plan.time_of(status), status.st_size
    header = PYC_HEADER.pack(python.magic, 0, time & 0xFFFFFFFF, size & 0xFFFFFFFF)
    plan.add_content(python.bytecode_of(target), header + code, mtime=time)


def _bytecode_of(python: Python, source: Path, status: os.stat_result) -> bytes | None:
    """The bytecode that this machine keeps for a module, if it is up to date."""
    try:
        content = Path(python.bytecode_of(str(source))).read_bytes()
        magic, flags, seconds, size = PYC_HEADER.unpack_from(content)
    except (OSError, struct.error):
        return None
    if magic != python.magic:
        return None
    by_time = flags == 0 and seconds == int(status.st_mtime) & 0xFFFFFFFF and size == status.st_size
    by_hash = bool(flags & 1) and content[8:16] == importlib.util.source_hash(source.read_bytes())
    return content[PYC_HEADER.size :] if by_time or by_hash else None


def _compiled(source: Path, target: str) -> bytes | None:
    try:
        code = compile(source.read_bytes(), target, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError):
        return None
    # Later versions of the form mark objects that were shared in memory, which differs from run to
    # run; this one does not, so the same source gives the same bytes.
    stream = io.BytesIO()
    marshal.dump(code, stream, 2)
    return stream.getvalue()
