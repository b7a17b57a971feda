"""A container's log, read back.

The shim writes one JSON object a line, as Docker's ``json-file`` driver does, and rotates the file
when it grows: ``NAME`` is the newest, then ``NAME.1``, ``NAME.2``, ...

``files``    the files of a log, oldest first, and where their last lines begin
``entries``  one line of a log, and the form in which the API sends it
``reader``   a log from its first wanted line to its end, or to the container's
"""

from __future__ import annotations

from cellcrate_runtime.engine.logs.entries import Entry, Wanted, encode
from cellcrate_runtime.engine.logs.reader import read

__all__ = ["Entry", "Wanted", "encode", "read"]
