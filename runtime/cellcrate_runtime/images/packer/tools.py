"""The programs of the base image: those of the list that this machine has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cellcrate_runtime.images.errors import PackError
from cellcrate_runtime.images.packer.elf import Elf, read_elf
from cellcrate_runtime.images.packer.libraries import Libraries
from cellcrate_runtime.images.packer.plan import Plan

__all__ = ["FOLDERS", "LOADED_BY_NAME", "add_tools", "find_program", "shebang"]

FOLDERS = ("/usr/bin", "/bin", "/usr/sbin", "/sbin")

SHELLS = "sh bash"

# GNU coreutils' list, without the few that make sense only on a host.
COREUTILS = """
    [ arch b2sum base32 base64 basename basenc cat chgrp chmod chown cksum comm cp csplit cut date
    dd df dir dirname du echo env expand expr factor false fmt fold groups head hostid id install
    join link ln logname ls md5sum mkdir mkfifo mknod mktemp mv nice nl nohup nproc numfmt od paste
    pathchk pr printenv printf ptx pwd readlink realpath rm rmdir seq sha1sum sha224sum sha256sum
    sha384sum sha512sum shred shuf sleep sort split stat stdbuf stty sum sync tac tail tee test
    timeout touch tr true truncate tsort tty uname unexpand uniq unlink users vdir wc who whoami yes
"""

TEXT_AND_FILES = """
    awk cmp diff egrep fgrep find grep gunzip gzip less mawk gawk sed tar which xargs zcat
"""

PROCESSES = """
    free kill pgrep pidof pidwait pkill pmap ps pwdx renice slabtop sysctl tload top uptime
    vmstat watch w
"""

# util-linux and others: to look at, and play with, what a container is made of.
SYSTEM = """
    chrt clear dmesg findmnt flock getent getopt hostname ionice ip ipcs kill lsns mount
    mountpoint nc nologin nsenter ping prlimit reset setpriv setsid ss taskset tput tset umount
    unshare
"""

NAMES = " ".join((SHELLS, COREUTILS, TEXT_AND_FILES, PROCESSES, SYSTEM)).split()
LONGEST_SHEBANG = 256
# A script among the tools is taken if this is what runs it.
SCRIPT_SHELLS = ("/bin/sh", "/usr/bin/sh", "/bin/bash", "/usr/bin/bash")
# Programs load these by name while they run, so that no program's headers speak of them: threads
# that end (pthread_exit(3)), and on glibc before 2.34 the look-up of users and hosts.
LOADED_BY_NAME = ("libgcc_s.so.1", "libnss_files.so.2", "libnss_dns.so.2")


def add_tools(plan: Plan, libraries: Libraries) -> list[str]:
    """Add every tool that this machine has, and return their names.

    A tool that cannot be packed is left out; the shell must be there.

    Raises:
        PackError: There is no shell, or it cannot be packed.
    """
    added = []
    shell: Elf | None = None
    folders = _tool_folders()
    for name in NAMES:
        program = _find(name, folders)
        if program is None or not os.access(program, os.R_OK) or not _runs_without_more(program):
            continue
        folder = "/usr/sbin" if "sbin" in program.parts else "/usr/bin"
        elf = libraries.add(program, f"{folder}/{name}")
        added.append(name)
        shell = shell or elf
    if shell is None or "sh" not in added:
        raise PackError("this machine has no shell (sh) that could be packed.")
    for library in LOADED_BY_NAME:
        libraries.add_library(library, like=shell)
    return added


def find_program(name: str) -> Path | None:
    """Find a program as a shell would: in the folders of PATH, then in the system's."""
    return _find(name, [*os.environ.get("PATH", "").split(os.pathsep), *FOLDERS])


def _tool_folders() -> Sequence[str]:
    """Where to look for tools: the system's folders, whatever a user has put on PATH.

    Only a system that keeps its programs elsewhere (NixOS) has them found through PATH.
    """
    return FOLDERS if _find("ls", FOLDERS) else os.environ.get("PATH", "").split(os.pathsep)


def _find(name: str, folders: Sequence[str]) -> Path | None:
    for folder in folders:
        path = os.path.join(folder, name)
        if os.path.isabs(path) and os.path.isfile(path) and os.access(path, os.X_OK):
            return Path(path)
    return None


def _runs_without_more(program: Path) -> bool:
    """Whether it is machine code, or a script of a shell that is in the image."""
    if read_elf(program) is not None:
        return True
    words = shebang(program)
    return bool(words) and words[0] in SCRIPT_SHELLS


def shebang(program: Path) -> list[str]:
    """The words of a script's first line: what runs it; see execve(2). Empty for other files."""
    with program.open("rb") as file:
        line = file.readline(LONGEST_SHEBANG)
    return os.fsdecode(line[2:]).split() if line.startswith(b"#!") else []
