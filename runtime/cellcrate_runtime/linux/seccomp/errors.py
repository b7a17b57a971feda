"""What can go wrong with a seccomp filter."""

from __future__ import annotations

__all__ = ["InvalidProfileError", "SeccompError", "SeccompUnavailableError"]


class SeccompError(Exception):
    """A filter could not be compiled or loaded."""


class SeccompUnavailableError(SeccompError):
    """This machine cannot compile or load filters; the message says what to install."""


class InvalidProfileError(SeccompError, ValueError):
    """A profile has a word that the OCI runtime specification does not know."""
