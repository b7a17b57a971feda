"""What is asked for when a further program is to run in a container."""

from __future__ import annotations

import msgspec

__all__ = ["ExecConfig"]


class ExecConfig(msgspec.Struct, rename="pascal", kw_only=True):
    """The body of ``POST /containers/{id}/exec``."""

    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    console_size: tuple[int, int] | None = None  # height, width
    detach_keys: str = ""
    tty: bool = False
    env: list[str] = []
    cmd: list[str] = []
    privileged: bool = False
    user: str = ""
    working_dir: str = ""
