"""``docker update`` and ``docker rename``: a container is changed while it exists, or runs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec

from cellcrate_runtime.engine.api.types import HostConfig, Resources, UpdateRequest
from cellcrate_runtime.engine.container import Container, Status
from cellcrate_runtime.engine.errors import BadRequestError, ConflictError, EngineError
from cellcrate_runtime.engine.limits import check_limits, resources_of
from cellcrate_runtime.engine.names import check_name
from cellcrate_runtime.engine.restarting import check_policy
from cellcrate_runtime.linux.cgroups import Cgroup, CgroupError

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["rename", "update"]

# Limits of ``docker update``; the rest of a container's resources stays as it was created.
_CHANGEABLE = (
    "blkio_weight",
    "cpu_shares",
    "nano_cpus",
    "cpu_period",
    "cpu_quota",
    "cpuset_cpus",
    "cpuset_mems",
    "memory",
    "memory_swap",
    "memory_reservation",
    "pids_limit",
)


async def update(engine: Engine, container: Container, request: UpdateRequest) -> None:
    """Change the limits and the restart policy of a container; at once where it runs.

    Raises:
        EngineError: It cannot be changed so; everything is as it was.
    """
    async with container.lock:
        if container.state.status in (Status.REMOVING, Status.DEAD):
            raise ConflictError(
                f"Cannot update container {container.id}: container is marked for removal and "
                'cannot be "update"'
            )
        check_limits(request, update=True)
        host = _merged(container, request)
        check_limits(host)
        if container.state.alive:
            _apply(container, host)
        container.definition = msgspec.structs.replace(container.definition, host_config=host)
        engine.store.save(container)
    engine.publish(container, "update")


def _merged(container: Container, request: UpdateRequest) -> HostConfig:
    """Return a container's configuration with what was asked for over it."""
    old = container.host_config
    host = msgspec.structs.replace(old)
    for name in _CHANGEABLE:
        value = getattr(request, name)
        if value not in (0, "", None):
            setattr(host, name, value)
    if request.pids_limit == 0:
        host.pids_limit = 0
    _settle_cpu(old, host, request)
    if request.memory and not request.memory_swap and 0 < old.memory_swap < request.memory:
        raise BadRequestError(
            f"Cannot update container {container.id}: Memory limit should be smaller than already "
            "set memoryswap limit, update the memoryswap at the same time"
        )
    if request.restart_policy is not None and request.restart_policy.name:
        check_policy(request.restart_policy)
        if host.auto_remove and request.restart_policy.name != "no":
            raise BadRequestError(
                "Restart policy cannot be updated because AutoRemove is enabled for the container"
            )
        host.restart_policy = request.restart_policy
    return host


def _settle_cpu(old: HostConfig, host: HostConfig, request: Resources) -> None:
    """``--cpus`` and ``--cpu-quota`` are two ways to say the same; one cannot follow the other."""
    if request.nano_cpus and (old.cpu_period or old.cpu_quota):
        raise BadRequestError(
            "Conflicting options: Nano CPUs cannot be updated as CPU Quota or Period has already "
            "been set"
        )
    if (request.cpu_quota or request.cpu_period) and old.nano_cpus:
        raise BadRequestError(
            "Conflicting options: CPU Quota or Period cannot be updated as NanoCPUs has already "
            "been set"
        )


def _apply(container: Container, host: HostConfig) -> None:
    group = None
    try:
        group = Cgroup.open(container.cgroup_path)
        group.apply(resources_of(host))
    except CgroupError as error:
        if group is not None:
            _put_back(group, container)
        raise EngineError(f"Cannot update container {container.id}: {error}") from error


def _put_back(group: Cgroup, container: Container) -> None:
    with contextlib.suppress(CgroupError):  # the first error is the one to tell
        group.apply(resources_of(container.host_config))


async def rename(engine: Engine, container: Container, new_name: str) -> None:
    """Give a container another name.

    Raises:
        EngineError: The name is taken, or cannot be one.
    """
    if not new_name:
        raise BadRequestError("Neither old nor new names may be empty")
    new_name = check_name(new_name)
    async with container.lock:
        old_name = container.name
        if new_name == old_name:
            raise BadRequestError("Renaming a container with the same name as its current name")
        engine.containers.reserve(new_name, container.id)
        old = container.definition
        container.definition = msgspec.structs.replace(old, name=new_name)
        try:
            engine.store.save(container)
        except BaseException:
            container.definition = old
            engine.containers.release(new_name)
            raise
        engine.containers.release(old_name)
    engine.publish(container, "rename", oldName=f"/{old_name}")
