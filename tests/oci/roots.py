"""A small root file system, made of this machine's own programs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

PROGRAMS = """
cat chmod chown echo env false grep head hostname id kill ln ls mkdir mount ps pwd
readlink rm sh sleep sort stat stty sync tail test touch true tty umount uname unshare wc
"""


def fill(root: Path, programs: str = PROGRAMS) -> None:
    """Make the folders, programs, libraries, users and groups that the tests count on."""
    for folder in ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "home/alice", "data"):
        (root / folder).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    for name in programs.split():
        found = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
        assert found is not None, f"this machine has no {name}"
        shutil.copy(found, root / "bin" / name)
        linked = subprocess.run(["ldd", found], check=True, capture_output=True, text=True)
        for library in re.findall(r"(/\S+) \(0x", linked.stdout):
            place = root / library.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                shutil.copy(library, place)
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:Alice:/home/alice:/bin/sh\n"
    )
    (root / "etc/group").write_text(
        "root:x:0:\ndaemon:x:1:root,alice\nalice:x:1000:\nstaff:x:50:alice\n"
    )
