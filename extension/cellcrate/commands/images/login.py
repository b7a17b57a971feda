"""``%image login`` and ``%image logout``: a name and a password for a registry.

The password is asked for in a field of its own: what stands in a cell stays in the notebook.
"""

from __future__ import annotations

from cellcrate.commands.command import Command, link, options
from cellcrate.errors import UsageError
from cellcrate.options import Option, Parsed

__all__ = ["COMMANDS"]


def _registry(parsed: Parsed, command: str) -> str:
    if len(parsed.words) > 1:
        raise UsageError(f"%image {command} takes one registry, such as localhost:5000, or none.")
    return parsed.words[0] if parsed.words else ""


def _login(parsed: Parsed) -> None:
    from cellcrate.images.credentials import login

    registry = _registry(parsed, "login")
    print(login(link(), registry, parsed.get("username", "")))


def _logout(parsed: Parsed) -> None:
    from cellcrate.images.credentials import logout

    print(logout(_registry(parsed, "logout")))


COMMANDS = (
    Command(
        name="login",
        usage="[REGISTRY]",
        summary="Keep a name and a password for a registry; Docker Hub without one.",
        groups=options(
            Option(long="--username", short="-u", metavar="NAME", help="The name."),
            Option(
                long="--password",
                short="-p",
                metavar="PASSWORD",
                help="",
                refused="it would stay in the notebook; a field asks for it.",
            ),
            Option(
                long="--password-stdin",
                help="",
                refused="a cell has no standard input; a field asks for the password.",
            ),
        ),
        run=_login,
    ),
    Command(
        name="logout",
        usage="[REGISTRY]",
        summary="Forget the name and the password for a registry.",
        run=_logout,
    ),
)
