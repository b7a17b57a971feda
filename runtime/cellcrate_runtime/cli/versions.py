"""``cellcrate version``: the versions of this command and of the engine that runs."""

from __future__ import annotations

import argparse
import json
import platform
from importlib import metadata

from cellcrate_runtime.cli.api import EngineUnreachableError, get
from cellcrate_runtime.paths import Paths

__all__ = ["own_version", "run"]


def own_version() -> str:
    """The version of this distribution, or that it runs from its source without being installed."""
    try:
        return metadata.version("cellcrate")
    except metadata.PackageNotFoundError:
        return "0+source"


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
