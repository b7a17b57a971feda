"""Where errors go: standard error, and the file of ``--log``, in the form that callers parse.

The members are those of runc's log: ``level``, ``msg`` and ``time``.
"""

from __future__ import annotations

import os
import sys
import time

from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.errors import UsageError

__all__ = ["Reporter"]


class Reporter:
    """Says what went wrong, to people and to the calling program."""

    __slots__ = ("_as_json", "_path", "debug")

    def __init__(self, path: str = "", *, as_json: bool = False, debug: bool = False) -> None:
        self._path = path
        self._as_json = as_json
        self.debug = debug

    @classmethod
    def of(cls, options: Arguments) -> Reporter:
        """As the options of the command line ask."""
        form = options.text("log-format", "text")
        if form not in ("text", "json"):
            raise UsageError(f"invalid log-format: {form!r} is neither text nor json")
        debug = options.has("debug") or options.text("log-level") == "debug"
        reporter = cls(
            options.text("log").removeprefix("file:"), as_json=form == "json", debug=debug
        )
        reporter._check()
        return reporter

    def _check(self) -> None:
        """Make the file now, so that its caller does not look for errors in vain.

        Raises:
            UsageError: It cannot be written to.
        """
        if not self._path:
            return
        try:
            os.close(self._open())
        except OSError as error:
            raise UsageError(f"--log: cannot open {self._path}: {error.strerror}") from None

    def error(self, message: str) -> None:
        """Report what the command failed at."""
        line = self._line("error", message)
        if self._path and self._append(line):
            line = message
        print(line, file=sys.stderr, flush=True)

    def warn(self, message: str) -> None:
        """Report what the command went on in spite of."""
        self._log("warning", message)

    def note(self, message: str) -> None:
        """Report what helps to find an error, if that was asked for."""
        if self.debug:
            self._log("debug", message)

    def _log(self, level: str, message: str) -> None:
        line = self._line(level, message)
        if not self._path or not self._append(line):
            print(line, file=sys.stderr, flush=True)

    def _append(self, line: str) -> bool:
        """Write a line to the file; False if it cannot be."""
        try:
            file = self._open()
        except OSError:
            return False
        with open(file, "w", encoding="utf-8") as opened:
            opened.write(line + "\n")
        return True

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def _line(self, level: str, message: str) -> str:
        import json

        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if self._as_json:
            return json.dumps({"level": level, "msg": message, "time": now})
        return f'time="{now}" level={level} msg={json.dumps(message, ensure_ascii=False)}'
