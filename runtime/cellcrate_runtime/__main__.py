"""``python -m cellcrate_runtime`` is the ``cellcrate`` command."""

from cellcrate_runtime.cli import main

raise SystemExit(main())
