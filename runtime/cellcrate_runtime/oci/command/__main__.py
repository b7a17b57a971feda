"""``python -m cellcrate_runtime.oci.command``, the same as ``cellcrate-oci``."""

from __future__ import annotations

from cellcrate_runtime.oci.command import main

main()
