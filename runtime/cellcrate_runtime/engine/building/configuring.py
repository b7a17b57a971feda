"""Instructions that change nothing but the image's configuration, as steps of a build."""

from __future__ import annotations

from collections.abc import Sequence

from cellcrate_runtime.engine.building.state import StageState
from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.engine.oci_config.environment import DEFAULT_PATH
from cellcrate_runtime.engine.signals import parse_signal
from cellcrate_runtime.images.dockerfile.errors import DockerfileError
from cellcrate_runtime.images.dockerfile.instructions import (
    Cmd,
    Entrypoint,
    Env,
    Instruction,
    Maintainer,
    StopSignal,
)

__all__ = ["configure", "set_default_path"]


def set_default_path(state: StageState) -> None:
    """Give an image a PATH that has none, as Docker's classic builder does."""
    if "PATH" not in state.environment:
        state.configuring.apply(Env(line=0, text="", pairs=(("PATH", DEFAULT_PATH),)))


def configure(state: StageState, instruction: Instruction) -> Sequence[str] | None:
    """Do an instruction, whose variables have been replaced.

    Returns the words of a CMD or an ENTRYPOINT.

    Raises:
        DockerfileError: A port, a signal or the like is none.
    """
    if isinstance(instruction, Maintainer):
        state.author = instruction.name
        return None
    if isinstance(instruction, StopSignal):
        _check_signal(instruction.signal)
    state.configuring.apply(instruction)
    if isinstance(instruction, Cmd):
        return state.execution.cmd or []
    return (state.execution.entrypoint or []) if isinstance(instruction, Entrypoint) else None


def _check_signal(signal: str) -> None:
    try:
        parse_signal(signal)
    except BadRequestError as error:
        raise DockerfileError(error.message) from error
