"""Print the report as JSON, for :func:`.examine` in another process."""

from __future__ import annotations

import sys

import msgspec

from .examination import examine_here

if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(examine_here()))
