"""Refuse hooks that cannot be run, before anything is created.

Source: OCI runtime-spec 1.3, config.md, "POSIX-platform Hooks".
"""

from __future__ import annotations

from cellcrate_runtime.oci.refusal import check_environment, check_text, refuse
from cellcrate_runtime.oci.spec import Hook, Hooks

__all__ = ["check_hooks"]


def check_hooks(hooks: Hooks) -> None:
    """Refuse hooks without an absolute path, or with a timeout that is no time."""
    for kind, wanted in (
        ("prestart", hooks.prestart),
        ("createRuntime", hooks.create_runtime),
        ("createContainer", hooks.create_container),
        ("startContainer", hooks.start_container),
        ("poststart", hooks.poststart),
        ("poststop", hooks.poststop),
    ):
        for index, hook in enumerate(wanted):
            _check_hook(f"hooks.{kind}[{index}]", hook)


def _check_hook(member: str, hook: Hook) -> None:
    if not hook.path.startswith("/"):
        refuse(f"{member}.path", f"{hook.path!r} is not an absolute path")
    if hook.timeout is not None and hook.timeout < 1:
        refuse(f"{member}.timeout", f"{hook.timeout} is not a number of seconds above 0")
    check_text(member, [hook.path, *hook.args])
    check_environment(f"{member}.env", hook.env or [])
