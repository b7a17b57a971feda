"""Seccomp: which system calls a container may make.

``load(compile(profile), flags(profile))``, the last step in the container's first process; the
profile is the container's own or ``default_profile(capabilities)``.
"""

from __future__ import annotations

from .compiler import compile, flags, notifies
from .default import default_profile
from .errors import InvalidProfileError, SeccompError, SeccompUnavailableError
from .kept import keep_in
from .loader import load
from .profile import Seccomp

__all__ = [
    "InvalidProfileError",
    "Seccomp",
    "SeccompError",
    "SeccompUnavailableError",
    "compile",
    "default_profile",
    "flags",
    "keep_in",
    "load",
    "notifies",
]
