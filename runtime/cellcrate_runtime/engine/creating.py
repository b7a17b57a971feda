"""``POST /containers/create``: everything is checked before anything is made."""

from __future__ import annotations

import asyncio
import os
import posixpath
import re
from typing import TYPE_CHECKING

import msgspec

from cellcrate_runtime.engine import names, timestamps, traces
from cellcrate_runtime.engine.api.types import (
    ContainerConfig,
    CreateRequest,
    HealthConfig,
    HostConfig,
)
from cellcrate_runtime.engine.bundles import user_namespace_of
from cellcrate_runtime.engine.container import Container, Definition
from cellcrate_runtime.engine.errors import BadRequestError, NotServedError
from cellcrate_runtime.engine.etc_files import check_extra_hosts
from cellcrate_runtime.engine.forewarning import warnings
from cellcrate_runtime.engine.limits import check_limits
from cellcrate_runtime.engine.log_options import log_file
from cellcrate_runtime.engine.oci_config import Surroundings, make_spec
from cellcrate_runtime.engine.oci_config.environment import check_environment, merge
from cellcrate_runtime.engine.oci_config.modes import Modes, check_modes
from cellcrate_runtime.engine.oci_config.volumes import (
    anonymous_targets,
    mount_points,
    volumes,
)
from cellcrate_runtime.engine.ownership import OWNER_LABEL, parse_owner
from cellcrate_runtime.engine.restarting import check_policy
from cellcrate_runtime.engine.runtimes import EMBEDDED
from cellcrate_runtime.engine.signals import parse_signal
from cellcrate_runtime.images import Execution, Image
from cellcrate_runtime.oci.spec import IDMapping

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["complete", "create"]

_HOSTNAME = re.compile(r"[a-zA-Z0-9_]([a-zA-Z0-9_.-]*[a-zA-Z0-9_])?")
_MIN_HEALTH_TIME = 1_000_000  # nanoseconds, Docker's MinimumDuration
_MAX_HOSTNAME = 64  # HOST_NAME_MAX


async def create(
    engine: Engine, request: CreateRequest, name: str, image: Image
) -> tuple[Container, list[str]]:
    """Make a container, which does not run yet; return it with warnings for the user.

    Args:
        engine: Whose container.
        request: What was asked for; its config is completed with the image's.
        name: Its name, or the empty string for a random one.
        image: What ``request.image`` names.

    Raises:
        EngineError: Something is wrong with the request; nothing was made.
    """
    name = names.check_name(name) if name else names.random_name(engine.containers.has_name)
    config, host = _config(request), request.host_config
    _check_config(config)
    complete(config, image.config.execution)
    if not config.entrypoint and not config.cmd:
        raise BadRequestError("no command specified")
    _refuse_unserved(request)
    modes = _check_host(engine, host)
    wanted = volumes(host)
    anonymous_targets(config, host)
    container_id = engine.launcher.upcoming_id()
    config.hostname = config.hostname or _hostname(modes, container_id)
    _fill_in_defaults(host)
    path, *arguments = [*(config.entrypoint or []), *(config.cmd or [])]
    definition = Definition(
        id=container_id,
        name=name,
        created=timestamps.now(),
        image=image.id,
        path=path,
        args=arguments,
        config=config,
        host_config=host,
        mounts=mount_points(wanted),
    )
    mappings = _choose_users(engine, definition, modes)
    _try_out(engine, definition, modes, mappings)
    engine.containers.reserve(name, container_id)
    try:
        container = await asyncio.to_thread(_make, engine, definition, image)
    except BaseException:
        engine.containers.release(name)
        raise
    container.on_disk = _force_to_disk(engine, container)
    engine.containers.add(container)
    engine.owners.watch(container)
    engine.publish(container, "create")
    return container, warnings(engine, host, wanted if mappings else [])


def _make(engine: Engine, definition: Definition, image: Image) -> Container:
    """Write a container down, and keep its image's layers for it."""
    engine.images.hold(definition.id, image)
    try:
        return engine.store.create(definition)
    except BaseException:
        engine.images.release(definition.id)
        raise


def _force_to_disk(engine: Engine, container: Container) -> asyncio.Future[None]:
    """Have the disk take what was written, and let nobody wait for it who does not start it."""
    writing = asyncio.ensure_future(asyncio.to_thread(engine.store.force_to_disk, container))
    writing.add_done_callback(lambda done: done.cancelled() or done.exception())
    return writing


def _choose_users(engine: Engine, definition: Definition, modes: Modes) -> list[IDMapping]:
    """Choose who owns a new container's files on disk; return the ids of its user namespace."""
    users = user_namespace_of(engine, definition, modes)
    if users is definition:
        definition.shift = engine.identity.shift(definition.host_config)
    else:
        definition.shift = users.shift
    return engine.identity.mappings(users.host_config, definition.shift)


def _try_out(
    engine: Engine, definition: Definition, modes: Modes, mappings: list[IDMapping]
) -> None:
    """Build the container's document once, for the errors in it."""
    around = Surroundings(
        rootfs="/", cgroup="/", id_mappings=mappings, rootless=engine.identity.rootless
    )
    make_spec(definition, modes, around)


# -- the program ---------------------------------------------------------------------------------


def _config(request: CreateRequest) -> ContainerConfig:
    """Return the portable half of a request."""
    members = {name: getattr(request, name) for name in ContainerConfig.__struct_fields__}
    return ContainerConfig(**members)


def _check_config(config: ContainerConfig) -> None:
    if not config.image:
        raise BadRequestError("no image was named. Name one, such as cellcrate/base")
    if len(config.hostname) > _MAX_HOSTNAME:
        raise BadRequestError(
            f'hostname "{config.hostname}" is too long (maximum {_MAX_HOSTNAME} bytes)'
        )
    if config.hostname and not _HOSTNAME.fullmatch(config.hostname):
        raise BadRequestError(f"invalid hostname format: {config.hostname}")
    if config.working_dir:
        if not config.working_dir.startswith("/"):
            raise BadRequestError(
                f"the working directory '{config.working_dir}' is invalid, it needs to be an "
                "absolute path"
            )
        config.working_dir = "/" + posixpath.normpath(config.working_dir).lstrip("/")
    if config.stop_signal:
        parse_signal(config.stop_signal)
    if config.stop_timeout is not None and config.stop_timeout < -1:
        raise BadRequestError(
            f"invalid stop timeout {config.stop_timeout}: it is in seconds, or -1 to wait for ever"
        )
    check_environment(config.env)
    if OWNER_LABEL in config.labels:
        parse_owner(config.labels[OWNER_LABEL])
    if config.healthcheck is not None:
        _check_health(config.healthcheck)


def _check_health(check: HealthConfig) -> None:
    for name in ("interval", "timeout", "start_period", "start_interval"):
        value = getattr(check, name)
        if value and value < _MIN_HEALTH_TIME:
            member = name.title().replace("_", "")
            raise BadRequestError(f"{member} in Healthcheck cannot be less than 1ms")
    if check.retries < 0:
        raise BadRequestError("Retries in Healthcheck cannot be negative")
    kinds = ("NONE", "CMD", "CMD-SHELL")
    if check.test and check.test[0] not in kinds:
        raise BadRequestError(
            f'Unknown type of healthcheck "{check.test[0]}". It can be {", ".join(kinds)}'
        )


def complete(config: ContainerConfig, image: Execution) -> None:
    """Fill in what the image says and the user did not, as ``docker run`` has it."""
    config.user = config.user or image.user or ""
    config.exposed_ports = {**(image.exposed_ports or {}), **config.exposed_ports}
    config.env = merge(image.env or [], config.env)
    config.labels = {**(image.labels or {}), **config.labels}
    config.volumes = {**(image.volumes or {}), **config.volumes}
    config.working_dir = config.working_dir or image.working_dir or ""
    config.stop_signal = config.stop_signal or image.stop_signal or ""
    if config.stop_timeout is None:
        config.stop_timeout = image.stop_timeout
    config.shell = config.shell or image.shell
    if not config.entrypoint:
        if not config.cmd:
            config.cmd = image.cmd
        if config.entrypoint is None:
            config.entrypoint = image.entrypoint
    if config.entrypoint == [""]:
        config.entrypoint = None  # how a client takes the image's entry point away
    if image.healthcheck is not None:
        config.healthcheck = _merged_health(config.healthcheck, image)


def _merged_health(given: HealthConfig | None, image: Execution) -> HealthConfig:
    default = msgspec.convert(
        {k: v for k, v in msgspec.to_builtins(image.healthcheck).items() if v is not None},
        HealthConfig,
    )
    if given is None:
        return default
    for name in HealthConfig.__struct_fields__:
        setattr(given, name, getattr(given, name) or getattr(default, name))
    return given


# -- this machine --------------------------------------------------------------------------------


def _check_host(engine: Engine, host: HostConfig) -> Modes:
    host.runtime = host.runtime or EMBEDDED
    engine.runtimes.check(host.runtime, host)
    traces.check(host)
    check_limits(host)
    check_policy(host.restart_policy)
    if host.auto_remove and host.restart_policy.name not in ("", "no"):
        raise BadRequestError("can't create 'AutoRemove' container with restart policy")
    if host.shm_size < 0:
        raise BadRequestError("SHM size can not be less than 0")
    if host.log_config.type not in ("", "json-file", "none"):
        raise NotServedError(
            f"the log driver {host.log_config.type!r}", "Use json-file (the default) or none."
        )
    log_file(host.log_config, "")
    check_extra_hosts(host.extra_hosts)
    modes = check_modes(host, lambda reference: engine.containers.get(reference).id)
    # The id stays when the other container is renamed.
    host.network_mode = _by_id(host.network_mode, modes.network)
    host.pid_mode = _by_id(host.pid_mode, modes.pid)
    host.ipc_mode = _by_id(host.ipc_mode, modes.ipc)
    return modes


def _by_id(given: str, sharing: str) -> str:
    return f"container:{sharing}" if given.startswith("container:") else given


def _refuse_unserved(request: CreateRequest) -> None:
    """Say what cannot be had yet, rather than leave it out silently."""
    host = request.host_config
    endpoints = (request.networking_config or {}).get("EndpointsConfig") or {}
    served = {"", "default", "bridge", "none", "host"}
    asked = (
        (host.port_bindings or host.publish_all_ports, "publishing ports (--publish)"),
        (set(endpoints) - served, "connecting to a named network (--network NAME)"),
        (host.links, "links between containers (--link)"),
        (host.device_requests, "device requests (--gpus)"),
        (host.storage_opt, "storage options (--storage-opt)"),
        (host.volume_driver, "volume drivers (--volume-driver)"),
        (host.cgroup_parent, "a parent cgroup (--cgroup-parent)"),
        (host.isolation not in ("", "default"), f"the isolation {host.isolation!r}"),
        (request.mac_address, "a MAC address (--mac-address)"),
    )
    for wanted, what in asked:
        if wanted:
            raise NotServedError(what)


def _hostname(modes: Modes, container_id: str) -> str:
    return os.uname().nodename if modes.uts == "host" else container_id[:12]


def _fill_in_defaults(host: HostConfig) -> None:
    """Write down what holds where nothing was asked for, as ``inspect`` shows it."""
    host.network_mode = host.network_mode or "default"
    host.restart_policy.name = host.restart_policy.name or "no"
    host.log_config.type = host.log_config.type or "json-file"
    if host.memory and not host.memory_swap:
        host.memory_swap = 2 * host.memory
