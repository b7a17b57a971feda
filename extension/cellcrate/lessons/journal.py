"""What this kernel has measured, for the exercises that come back to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docker.models.containers import Container

    from cellcrate.lessons.measurement import Measurement

__all__ = ["forget", "life_of", "measured_life", "recall", "remember", "story"]

Life = tuple[str, str]

GAME = "game"  # the name that the lesson gives to the game's container
ORDER = ("alone", "processes", "containers")

_measurements: dict[str, Measurement] = {}
_lives: dict[str, Life] = {}


def remember(measurement: Measurement, measured: list[Container]) -> None:
    """Keep a measurement of the lesson's story, and which containers it was of."""
    for container in measured:
        _lives[str(container.name)] = life_of(container)
    if not measured:
        _measurements[measurement.kind if measurement.game else "alone"] = measurement
    elif any(container.name == GAME for container in measured):
        _measurements[measurement.kind] = measurement


def recall(kind: str) -> Measurement | None:
    """The last measurement of the bank "alone", or with the game as "processes" or "containers"."""
    return _measurements.get(kind)


def story() -> tuple[Measurement, ...]:
    """All that is kept, in the order of the lesson."""
    return tuple(_measurements[kind] for kind in ORDER if kind in _measurements)


def forget() -> None:
    """Keep nothing any more."""
    _measurements.clear()
    _lives.clear()


def life_of(container: Container) -> Life:
    """What changes when a container is replaced or started anew, and at no other time."""
    container.reload()
    return str(container.id), str(container.attrs["State"]["StartedAt"])


def measured_life(name: str) -> Life | None:
    """The life of the container with that name when it was last measured."""
    return _lives.get(name)
