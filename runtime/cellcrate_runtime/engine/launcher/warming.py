"""What the launcher does once, so that no container start has to."""

from __future__ import annotations

import contextlib
import os

from cellcrate_runtime.engine import root_file_system
from cellcrate_runtime.engine.launcher import rehearsal
from cellcrate_runtime.engine.shim import run_folder
from cellcrate_runtime.linux import idmap, rootless, seccomp
from cellcrate_runtime.linux.cgroups import hierarchy
from cellcrate_runtime.oci import cgroup_mounts, spec

__all__ = ["become_root_of_a_namespace", "learn", "usual_mappings", "warm"]

_REHEARSALS = 20


def become_root_of_a_namespace(run: str) -> None:
    """Enter the user namespace that this user's containers live in; see rootless.

    Containers that an earlier launcher started keep its namespace alive: join that one, so that
    new containers can share networks and volumes with them.

    Raises:
        OSError: User namespaces cannot be used here; the message says why.
    """
    rootless.enter_user_namespace(_living_shim(run))


def warm() -> None:
    """Look up what does not change while the launcher lives."""
    hierarchy()
    cgroup_mounts.remember_layout()
    _compile_usual_filter()
    usual_mappings()
    # Python rewrites a function's instructions to faster ones while it is called the first times.
    for _ in range(_REHEARSALS):
        rehearsal.rehearse()


def usual_mappings() -> list[spec.IDMapping]:
    """The ids of the user namespace that root's containers have; an ordinary user's have none.

    One such namespace is made, where one can be, and kept by this process.
    """
    if root_file_system.in_user_namespace():
        return []
    ids = idmap.container_range()
    try:
        root_file_system.user_namespace((ids,), (ids,))
    except OSError:
        return []  # the engine, which has tried too, asks for none and says so
    return [spec.IDMapping(container_id=ids.inside, host_id=ids.outside, size=ids.size)]


def learn(bundle: str, mappings: list[spec.IDMapping]) -> list[spec.IDMapping]:
    """Compile a container's filter, so that the next shims have it, and return its id mappings.

    What a shim learns is lost with it; the next container is probably like the last.

    Args:
        bundle: Where the container is described; it may have been removed meanwhile.
        mappings: What to return then.
    """
    try:
        with open(f"{bundle}/config.json", "rb") as file:
            linux = spec.decode(file.read()).linux or spec.Linux()
    except (OSError, spec.InvalidSpecError):
        return mappings
    if linux.seccomp is not None:
        with contextlib.suppress(seccomp.SeccompError):
            seccomp.compile(linux.seccomp)
    return linux.uid_mappings


def _compile_usual_filter() -> None:
    """Compile Docker's default filter, which takes longer than all else that a start does.

    Of the capabilities that Docker leaves to a container, the filter asks about this one alone.
    """
    with contextlib.suppress(seccomp.SeccompError):  # the container that wants it will hear of it
        seccomp.compile(seccomp.default_profile(frozenset({"CAP_SYS_CHROOT"})))


def _living_shim(run: str) -> int | None:
    try:
        names = sorted(os.listdir(f"{run}/c"))
    except FileNotFoundError:
        return None
    for name in names:
        folder = f"{run}/c/{name}"
        if run_folder.is_locked(folder):
            state = run_folder.read_state(folder)
            if state is not None:
                return state.shim
    return None
