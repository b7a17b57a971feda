"""Get ready in the background while the person still types the first cell.

``%load_ext cellcrate`` returns at once. A thread then imports docker-py, starts the embedded engine
and has its base image packed, so that the first ``%%container`` waits for none of them.
"""

from __future__ import annotations

import contextlib
import threading
import time

from cellcrate import connection

__all__ = ["begin"]

#: The head start that the cell with %load_ext gets before a thread competes with it, in seconds.
HEAD_START = 0.02


def begin() -> threading.Thread:
    """Start to get ready; return the thread that does."""
    thread = threading.Thread(target=_get_ready, name="cellcrate-warmup", daemon=True)
    thread.start()
    return thread


def _get_ready() -> None:
    time.sleep(HEAD_START)
    # Whatever goes wrong here goes wrong again in the first cell, which has somebody to tell.
    with contextlib.suppress(Exception):
        import docker  # noqa: F401

        import cellcrate.cells.running  # noqa: F401

        if not connection.address():
            _have_base_image(connection.engine())


def _have_base_image(engine: connection.Engine) -> None:
    from cellcrate.cells.request import BASE_IMAGE, default_image

    # Another image would be fetched from somewhere, which nobody has asked for yet.
    if default_image() == BASE_IMAGE and not engine.api.images(name=BASE_IMAGE, quiet=True):
        engine.api.pull(BASE_IMAGE, "latest")
