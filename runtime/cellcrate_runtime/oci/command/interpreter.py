"""The interpreter that runs this program, where no container can write over it (CVE-2019-5736).

A program of a container, or its ``#!`` line, or the loader that it names, can be
``/proc/self/exe``. For the kernel that is what the process has executed until then: this
interpreter, which then runs in the container's hands, and whose file those hold. Nothing that is
looked at before the execution keeps them from it, because they may exchange what was looked at. So
the interpreter is executed through a way that is read-only for whoever follows it,
see :mod:`cellcrate_runtime.linux.executables`.

That takes a second start of the interpreter, here without the modules for site-specific
configuration. It is spared those who may not write to the interpreter's file: an ordinary user with
the interpreter of the distribution.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from cellcrate_runtime.linux.executables import open_protected, variables_to_find_library

__all__ = ["begin_again", "protect"]

_PROGRAM = """\
import sys
sys.path[:] = {path!r}
from cellcrate_runtime.oci.command.interpreter import begin_again
begin_again({changed!r})
"""


def protect() -> None:
    """Begin again with a protected interpreter, and do not return; return where none is needed.

    It has to be done before anything is opened, or a process is made.

    Raises:
        OSError: The interpreter cannot be executed a second time.
    """
    protected = open_protected("/proc/self/exe")
    if protected is None:
        return
    variables = variables_to_find_library()
    changed = {name: os.environ.get(name) for name in variables}
    # Where modules are is handed on: looking for it takes a third of an interpreter's start.
    program = _PROGRAM.format(path=sys.path, changed=changed)
    command = [sys.executable, "-S", "-c", program, *sys.argv[1:]]
    os.execve(f"/proc/self/fd/{protected}", command, os.environ | variables)


def begin_again(changed: Mapping[str, str | None]) -> None:
    """What the protected interpreter does: give variables their values of before, and go on."""
    from cellcrate_runtime.oci.command import main

    for name, value in changed.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
    main()
