"""Names for containers that were given none, and what a name may look like."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.engine.words import words

__all__ = ["check_name", "random_name"]

_VALID = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+")

_QUALITIES = words(
    """
    amber brisk calm clever cosy crisp curious deft eager early fair fleet fond frank fresh
    gentle glad golden happy honest humble keen kind lively lucid mellow merry mild modest
    neat nimble noble patient placid plucky polite prompt proud quick quiet ready sage
    serene sharp silver sleek snug solid spry steady sturdy sunny swift tidy trusty vivid
    warm wise witty zesty
    """
)

_CREATURES = words(
    """
    badger beaver bison bream carp cat crane cricket crow curlew deer dove dragonfly duck
    eagle egret elk falcon ferret finch fox frog gecko goose grouse gull hare hawk hedgehog
    heron ibex jay kestrel koi lark lemur linnet lynx magpie marten mole moose moth newt
    otter owl panda perch pika plover quail rabbit raven robin salmon seal shrew sparrow
    squid stork swallow swan tapir tern thrush tiger toad trout turtle vole walrus weasel
    whale wolf wombat wren yak
    """
)


def random_name(taken: Callable[[str], bool]) -> str:
    """Return a name such as ``brisk_otter`` that nobody has, with a number when all are taken."""
    for attempt in range(100):
        name = f"{random.choice(_QUALITIES)}_{random.choice(_CREATURES)}"
        if attempt >= 10:
            name += str(random.randrange(10 ** (1 + attempt // 20)))
        if not taken(name):
            return name
    raise BadRequestError("no free name was found. Give the container one with --name")


def check_name(name: str) -> str:
    """Return a name without the slash that clients may put in front.

    Raises:
        BadRequestError: It cannot be the name of a container.
    """
    if not _VALID.fullmatch(name):
        raise BadRequestError(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )
    return name.removeprefix("/")
