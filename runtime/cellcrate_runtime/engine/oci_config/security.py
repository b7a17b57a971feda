"""``--security-opt`` and ``--privileged``, understood once.

``no_new_privs`` (prctl(2)) is on by default here, unlike in Docker: a set-user-id program in an
image gives nobody more rights than he has. ``--security-opt no-new-privileges=false`` turns it
off, for images that need ``sudo`` or ``ping``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cellcrate_runtime.engine.errors import BadRequestError

__all__ = ["SecurityOptions", "parse"]

_TRUE = ("", "true", "1")
_FALSE = ("false", "0")


@dataclass(frozen=True)
class SecurityOptions:
    """What the options ask for.

    Attributes:
        no_new_privileges: Whether set-user-id programs gain nothing.
        seccomp: ``""`` for Docker's default filter, ``unconfined``, or a profile as JSON.
        unmasked: Whether nothing of /proc and /sys is hidden (``systempaths=unconfined``).
    """

    no_new_privileges: bool = True
    seccomp: str = ""
    unmasked: bool = False


def parse(options: Sequence[str], *, privileged: bool) -> SecurityOptions:
    """Understand the options.

    Raises:
        BadRequestError: One of them is unknown, or asks for what this machine does not have.
    """
    no_new_privileges, seccomp, unmasked = not privileged, "", False
    for option in options:
        # Both separators are Docker's: key=value, and before that key:value.
        separator = "=" if "=" in option else ":"
        key, _, value = option.partition(separator)
        if key == "no-new-privileges" and value in _TRUE + _FALSE:
            no_new_privileges = value in _TRUE
        elif key == "seccomp":
            seccomp = "" if value == "builtin" else value
        elif key == "systempaths" and value == "unconfined":
            unmasked = True
        elif key in ("apparmor", "label"):
            _refuse_module(option, key, value)
        else:
            raise BadRequestError(
                f"invalid --security-opt {option!r}: it can be no-new-privileges[=true|false], "
                "seccomp=unconfined, seccomp=FILE, or systempaths=unconfined"
            )
    return SecurityOptions(no_new_privileges, seccomp, unmasked)


def _refuse_module(option: str, key: str, value: str) -> None:
    if (key, value) in (("apparmor", "unconfined"), ("label", "disable")):
        return  # that is how it is anyway
    module = "AppArmor" if key == "apparmor" else "SELinux"
    raise BadRequestError(
        f"invalid --security-opt {option!r}: this engine does not use {module}. Leave it out: "
        "containers are confined by namespaces, capabilities and seccomp"
    )
