"""``cellcrate doctor``: what this machine can do for containers."""

from __future__ import annotations

import argparse
import json
import os
import sys

from cellcrate_runtime import doctor

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Try everything, and print what was found."""
    report = doctor.examine()
    if options.json:
        print(json.dumps(report.to_dict(), indent=4))
    else:
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        print(doctor.render(report, colour), end="")
    return 1 if report.verdict == "machine" else 0
