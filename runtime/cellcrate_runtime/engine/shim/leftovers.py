"""What a shim leaves when it is killed: a control group and a run folder.

The container dies with its shim (PR_SET_PDEATHSIG), its mounts with the shim's mount namespace. A
container that another runtime made goes on, and is ended here by its control group.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from cellcrate_runtime.engine.shim import run_folder
from cellcrate_runtime.linux.cgroups import Cgroup, CgroupNotFoundError

__all__ = ["ShimAliveError", "clear"]


class ShimAliveError(Exception):
    """The shim lives; what it holds is not left over."""


def clear(run_dir: Path, cgroup: str = "") -> None:
    """Remove what a shim that was killed could not; that there is nothing is fine.

    May take seconds when processes of the container are slow to die.

    Args:
        run_dir: The container's run folder.
        cgroup: The container's control group, where the run folder does not say.

    Raises:
        ShimAliveError: There is a shim; nothing has been touched.
        CgroupError: Processes cannot be killed.
    """
    if run_folder.is_locked(run_dir):
        raise ShimAliveError(f"a shim lives in {run_dir}")
    state = run_folder.read_state(run_dir)
    path = state.cgroup if state is not None and state.cgroup else cgroup
    if path:
        with contextlib.suppress(CgroupNotFoundError):
            _end(Cgroup.open(path), run_dir, state)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(run_dir)


def _end(group: Cgroup, run_dir: Path, state: run_folder.ShimState | None) -> None:
    group.kill()
    if not (run_dir / "runtime").exists():
        group.delete()
        return
    from cellcrate_runtime.engine.shim.foreign import driver, groups

    # Another runtime clears away first what it alone knows of.
    if state is not None and state.runtime:
        driver.delete_left(str(run_dir), state.runtime, state.container_id)
    place = groups.path_in_tree(group)
    group.delete()
    # Only now, since none of its groups can be removed until its last process has died.
    groups.remove_beside(place, group)
