"""``run``: make a container, start it, and stay until it ends, unless ``--detach`` says not to."""

from __future__ import annotations

from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.delete import destroy
from cellcrate_runtime.oci.command.foreground import accompany, stop_accompanying
from cellcrate_runtime.oci.command.later_hooks import run_poststart
from cellcrate_runtime.oci.command.making import make_container
from cellcrate_runtime.oci.command.settings import Settings

__all__ = ["run"]


def run(settings: Settings, arguments: Arguments) -> int:
    """Run it: the exit status of its program, or 0 of a detached one."""
    detached = arguments.has("detach")
    made = make_container(settings, arguments, leaves=detached, waits=False)

    def after_start() -> None:
        if made.record.has_hooks:
            run_poststart(made.folder, made.record)

    try:
        if not detached:
            return accompany(made.process, after_start=after_start)
        made.process.start()
        after_start()
    except BaseException:
        destroy(made.folder, made.record, settings.reporter)
        raise
    finally:
        if not detached and not arguments.has("keep") and made.folder.exists():
            destroy(made.folder, made.record, settings.reporter)
    stop_accompanying(made.process)
    return 0
