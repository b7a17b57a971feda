"""``features``: what this runtime can do. Source: OCI runtime-spec 1.3, features.md."""

from __future__ import annotations

import json

from cellcrate_runtime.oci import features as known
from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.settings import Settings

__all__ = ["features"]


def features(_settings: Settings, _arguments: Arguments) -> None:
    """Print it as JSON."""
    print(json.dumps(known.document(), indent=2))
