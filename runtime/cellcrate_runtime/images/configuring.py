"""Instructions that change how the containers of an image run, and nothing in its files.

Source: the reference of the Dockerfile format; moby, builder/dockerfile/dispatchers.go, for what an
instruction does to those before it.
"""

from __future__ import annotations

import posixpath

from cellcrate_runtime.images.dockerfile import instructions as dockerfile
from cellcrate_runtime.images.dockerfile.errors import DockerfileError
from cellcrate_runtime.images.dockerfile.expanding import expand_instruction
from cellcrate_runtime.images.dockerfile.instructions import Command, Instruction
from cellcrate_runtime.images.dockerfile.parser import parse_instruction
from cellcrate_runtime.images.dockerfile.ports import exposed_ports
from cellcrate_runtime.images.documents import Execution, Healthcheck

__all__ = ["Configuring", "configured"]

_SHELL = ["/bin/sh", "-c"]
# What `docker commit --change` and `docker import --change` take.
_CHANGES = (
    dockerfile.Cmd,
    dockerfile.Entrypoint,
    dockerfile.Env,
    dockerfile.Expose,
    dockerfile.Healthcheck,
    dockerfile.Label,
    dockerfile.OnBuild,
    dockerfile.User,
    dockerfile.Volume,
    dockerfile.Workdir,
)


def configured(execution: Execution, changes: list[str]) -> Execution:
    """Apply instructions as ``docker commit --change`` has them; return a new configuration.

    Raises:
        DockerfileError: One is wrong, or is none of those that change a configuration.
    """
    configuring = Configuring(execution)
    for change in changes:
        for line in filter(None, map(str.strip, change.splitlines())):
            instruction = parse_instruction(line)
            if not isinstance(instruction, _CHANGES):
                raise DockerfileError(f"{line.split()[0].lower()} is not a valid change command")
            known = configuring.execution.env or []
            variables = dict(pair.split("=", 1) for pair in known if "=" in pair)
            configuring.apply(expand_instruction(instruction, variables))
    return configuring.execution


class Configuring:
    """A configuration while instructions are applied to it.

    Attributes:
        execution: What has become of it.
    """

    def __init__(self, execution: Execution) -> None:
        self.execution = _copied(execution)
        self._has_cmd = False

    def apply(self, instruction: Instruction) -> None:
        """Apply one instruction, whose variables are replaced already.

        Raises:
            DockerfileError: A port is none.
            TypeError: It changes no configuration.
        """
        image = self.execution
        match instruction:
            case dockerfile.Cmd(command=command):
                image.cmd = self._words(command)
                self._has_cmd = True
            case dockerfile.Entrypoint(command=command):
                image.entrypoint = self._words(command)
                if not self._has_cmd:
                    image.cmd = None  # it belonged to the entry point of the image below
            case dockerfile.Env(pairs=pairs):
                image.env = _with_variables(image.env or [], dict(pairs))
            case dockerfile.Label(pairs=pairs):
                image.labels = {**(image.labels or {}), **dict(pairs)}
            case dockerfile.Expose(ports=texts):
                ports = [port for text in texts for port in exposed_ports(text)]
                image.exposed_ports = {**(image.exposed_ports or {}), **{p: {} for p in ports}}
            case dockerfile.Volume(paths=paths):
                image.volumes = {**(image.volumes or {}), **{path: {} for path in paths}}
            case dockerfile.User(name=name):
                image.user = name
            case dockerfile.Workdir(path=path):
                image.working_dir = posixpath.normpath(
                    posixpath.join("/", image.working_dir or "", path)
                )
            case dockerfile.OnBuild(expression=expression):
                image.on_build = [*(image.on_build or []), expression]
            case dockerfile.StopSignal(signal=signal):
                image.stop_signal = signal
            case dockerfile.Shell(words=words):
                image.shell = list(words)
            case dockerfile.Healthcheck():
                image.healthcheck = _healthcheck(instruction)
            case _:
                raise TypeError(f"{type(instruction).__name__} changes no configuration")

    def _words(self, command: Command) -> list[str]:
        return [*((self.execution.shell or _SHELL) if command.shell else []), *command.words]


def _copied(execution: Execution) -> Execution:
    return Execution(**{name: getattr(execution, name) for name in Execution.__struct_fields__})


def _with_variables(variables: list[str], new: dict[str, str]) -> list[str]:
    """Variables keep their places; new ones come last."""
    rest = dict(new)
    found = []
    for variable in variables:
        name = variable.partition("=")[0]
        found.append(f"{name}={rest.pop(name)}" if name in rest else variable)
    return [*found, *(f"{name}={value}" for name, value in rest.items())]


def _healthcheck(instruction: dockerfile.Healthcheck) -> Healthcheck:
    return Healthcheck(
        test=list(instruction.test),
        interval=instruction.interval or None,
        timeout=instruction.timeout or None,
        start_period=instruction.start_period or None,
        start_interval=instruction.start_interval or None,
        retries=instruction.retries or None,
    )
