"""The process of an exec: that of its container, with what the exec asks for instead."""

from __future__ import annotations

from cellcrate_runtime.engine.container import Container
from cellcrate_runtime.engine.exec_config import ExecConfig
from cellcrate_runtime.engine.oci_config import capabilities
from cellcrate_runtime.engine.oci_config.environment import check_environment, environment, merge
from cellcrate_runtime.oci import spec

__all__ = ["process_for"]


def process_for(container: Container, config: ExecConfig) -> spec.Process:
    """Return the process to run for an exec.

    It has the limits, capabilities and environment of the container's program. The user is the
    container's as well, unless the shim is told another one.

    Raises:
        BadRequestError: A variable has no name.
    """
    check_environment(config.env)
    process = _container_process(container)
    given = merge(container.config.env, config.env)
    process.env = environment(given, hostname=_hostname(process), tty=config.tty)
    process.args = list(config.cmd)
    process.cwd = config.working_dir or process.cwd
    process.terminal = config.tty
    process.console_size = None
    if config.tty and config.console_size is not None:
        height, width = config.console_size
        process.console_size = spec.ConsoleSize(height=height, width=width)
    if config.privileged:
        process.capabilities = _all_capabilities(container)
    return process


def _container_process(container: Container) -> spec.Process:
    """Return the process that the running container was started with."""
    written = spec.decode((container.folder / "config.json").read_bytes())
    assert written.process is not None
    return written.process


def _hostname(process: spec.Process) -> str:
    for variable in process.env:
        name, _, value = variable.partition("=")
        if name == "HOSTNAME":
            return value
    return ""


def _all_capabilities(container: Container) -> spec.Capabilities:
    own = container.host_config.userns_mode != "host"
    names = capabilities.effective([], [], privileged=True, own_user_namespace=own)
    return spec.Capabilities(bounding=names, effective=names, permitted=names)
