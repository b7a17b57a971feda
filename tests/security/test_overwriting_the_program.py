"""CVE-2019-5736 once more: a container writes over ``cellcrate-oci``, which Podman executes.

See test_overwriting_the_runtime.py, whose attacker this is; here nobody has started the
interpreter in a safe way before.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oci_command.conftest import bundle, document, program, rootfs
from oci_command.program import ENVIRONMENT, Bundle, Program

from .attacker import ROOT, unchanged
from .test_overwriting_the_runtime import HOSTS_PYTHON, SCRIPT, SECOND

__all__ = ["bundle", "document", "program", "rootfs"]  # fixtures, found by their names

MAPS = Path("/proc/self/maps")

Outcome = dict[str, Any]
Attack = Callable[[Bundle, Program], Outcome]


@pytest.fixture
def prepared(bundle: Bundle, tmp_path: Path) -> Bundle:
    """A container with this machine's programs, the two of the attacker, and a readable Python."""
    root = tmp_path / "root"
    for folder in ("usr", "proc", "dev", "sys", "tmp", "prefix"):
        (root / folder).mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for name, text in (("first", SCRIPT), ("second", SECOND)):
        (root / name).write_text(text)
        (root / name).chmod(0o755)
    document = bundle.document
    document["root"] = {"path": str(root), "readonly": False}
    document["mounts"] += [
        {"destination": place, "source": source, "type": "bind", "options": ["rbind", "ro"]}
        for place, source in (("/usr", "/usr"), ("/prefix", sys.base_prefix))
    ]
    document["process"]["env"] = ["PATH=/prefix/bin:/usr/bin:/bin", "PYTHONHOME=/prefix"]
    return bundle


def by_exec(bundle: Bundle, program: Program) -> Outcome:
    """The attacker waits for somebody who joins him, and has him execute himself."""
    program.do("run", "--detach", f"--bundle={bundle.write('sleep', '1000')}", "c1")
    return outcome_of(program.do("exec", "c1", "/first"))


def by_image(bundle: Bundle, program: Program) -> Outcome:
    """The attacker made the image, whose program this is."""
    return outcome_of(program.do("run", f"--bundle={bundle.write('/first')}", "c1"))


def outcome_of(said: str) -> Outcome:
    """What the attacker tells."""
    outcome: Outcome = json.loads(said.splitlines()[-1])
    return outcome


@pytest.mark.parametrize("attack", [by_exec, by_image])
def test_a_program_that_is_the_runtime_itself(
    attack: Attack, prepared: Bundle, program: Program
) -> None:
    with unchanged(HOSTS_PYTHON):
        outcome = attack(prepared, program)
    assert outcome["write"] in ("EROFS", "EACCES", "EPERM", "ETXTBSY")
    if ROOT:
        assert outcome == {**outcome, "inode": HOSTS_PYTHON.stat().st_ino, "mode": "EROFS"}
    else:
        assert not os.access(HOSTS_PYTHON, os.W_OK) or outcome["mode"] == "EPERM"


def test_a_library_is_found_from_where_the_interpreter_lies_now(tmp_path: Path) -> None:
    """Some interpreters are little more than a library beside them, which they look for there."""
    (loaded,) = {line.split()[-1] for line in MAPS.read_text().splitlines() if "/libc.so" in line}
    library = tmp_path / "libpython3.so"
    shutil.copy(loaded, library)
    script = f"""
import ctypes
from cellcrate_runtime.linux.executables import variables_to_find_library
ctypes.CDLL({str(library)!r})
print(variables_to_find_library())
"""
    environment = ENVIRONMENT | {"LD_LIBRARY_PATH": "/nowhere"}
    said = subprocess.check_output([sys.executable, "-c", script], env=environment, text=True)
    assert said == f"{{'LD_LIBRARY_PATH': '{tmp_path}:/nowhere'}}\n"
