"""User ids for the users inside a container."""

from __future__ import annotations

import os
import pwd
import shutil

from ..rights import become_maker, is_root
from ..runner import Lacking, Probe

__all__ = ["probes"]

_ENOUGH = 65536  # what images use


def probes() -> list[Probe]:
    """Return the probes; root needs none."""
    if is_root():
        return []
    return [
        Probe(
            "subordinate ids",
            gives="a container has several users",
            without="A container has one user, root, who is you outside.",
            attempt=_subordinate,
        )
    ]


def _subordinate() -> str:
    if shutil.which("newuidmap") is None:
        raise Lacking(
            "limited",
            "newuidmap is not installed; a container has one user, root, who is you outside.",
            "sudo apt install uidmap",
        )
    remedy = f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {_name()}"
    become_maker()
    with open("/proc/self/uid_map") as file:
        ids = sum(int(line.split()[2]) for line in file)
    if ids >= _ENOUGH:
        return f"{ids} user ids"
    if _no_new_privileges():
        raise Lacking(
            "limited",
            "no_new_privs is set around this process, so newuidmap, a set-user-id program, "
            "cannot give it more user ids than one.",
            "Start the sandbox around it without --security-opt no-new-privileges.",
        )
    raise Lacking(
        "limited",
        f"Only {ids} user id{'s are' if ids > 1 else ' is'} yours; images use up to {_ENOUGH}.",
        remedy,
    )


def _no_new_privileges() -> bool:
    with open("/proc/self/status") as file:
        return any(line.split() == ["NoNewPrivs:", "1"] for line in file)


def _name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "$USER"
