"""Started by the engine: ``python -m cellcrate_runtime.engine.launcher CHANNEL RUN_FOLDER ID``."""

import sys

from cellcrate_runtime.engine.launcher.main import main

main(int(sys.argv[1]), *sys.argv[2:4])
