"""Which stages a build needs: those that its target begins with, copies from or mounts."""

from __future__ import annotations

from collections.abc import Callable

from cellcrate_runtime.images.dockerfile.errors import DockerfileError, suggestion
from cellcrate_runtime.images.dockerfile.instructions import Copy, Run, Stage

__all__ = ["find_stage", "find_target", "needed_stages"]


def find_stage(stages: list[Stage], reference: str) -> int | None:
    """The stage that a name or a number means among those given; None where it is no stage.

    Names count before numbers, and the last of a name counts.
    """
    wanted = reference.lower()
    for index in range(len(stages) - 1, -1, -1):
        if stages[index].name and stages[index].name == wanted:
            return index
    if reference.isascii() and reference.isdecimal() and int(reference) < len(stages):
        return int(reference)
    return None


def find_target(stages: list[Stage], target: str) -> int:
    """The stage that is to be built: the last one unless another is named.

    Raises:
        DockerfileError: There is no such stage.
    """
    if not target:
        return len(stages) - 1
    found = find_stage(stages, target)
    if found is None:
        names = [stage.name for stage in stages if stage.name]
        raise DockerfileError(
            f"target stage {target} could not be found{suggestion(target.lower(), names)}"
        )
    return found


def needed_stages(
    stages: list[Stage], target: int, bases: list[str], origins: Callable[[Run], list[str]]
) -> list[int]:
    """The stages that a target needs, itself included, in the order of the Dockerfile.

    Args:
        stages: All stages.
        target: The stage that is to be built.
        bases: What each begins with, with its variables replaced.
        origins: What the mounts of a RUN come from.
    """
    needed: set[int] = set()
    open_ = [target]
    while open_:
        index = open_.pop()
        if index in needed:
            continue
        needed.add(index)
        references = [bases[index]]
        for instruction in stages[index].instructions:
            if isinstance(instruction, Copy) and instruction.origin:
                references.append(instruction.origin)
            elif isinstance(instruction, Run):
                references += origins(instruction)
        found = [find_stage(stages[:index], reference) for reference in references]
        open_ += [one for one in found if one is not None]
    return sorted(needed)
