"""``cellcrate version``: the versions of this command and of the engine that runs."""

from __future__ import annotations

import argparse
import json
import platform

from cellcrate_runtime.cli.api import EngineUnreachableError, get
from cellcrate_runtime.paths import Paths
from cellcrate_runtime.version import own_version

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Print the versions."""
    versions = {"cellcrate": own_version(), "python": platform.python_version()}
    try:
        engine = get(Paths.from_environment().socket, "/version")
        versions["engine"] = f"{engine['Version']} (API {engine['ApiVersion']})"
    except EngineUnreachableError:
        versions["engine"] = "not running"
    if options.json:
        print(json.dumps(versions))
    else:
        for name, version in versions.items():
            print(f"{name:<10} {version}")
    return 0
