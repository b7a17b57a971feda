"""``--ulimit``: what getrlimit(2) limits. And what else needs CAP_SYS_RESOURCE."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from cellcrate_runtime.engine.api.types import Ulimit
from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.engine.oci_config.capabilities import effective
from cellcrate_runtime.engine.words import words
from cellcrate_runtime.oci.spec import RLimit

__all__ = ["lowest_oom_score_adj", "rlimits"]

_NAMES = words(
    """
    as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime
    sigpending stack
    """
)
_UNLIMITED = 2**64 - 1  # RLIM_INFINITY
# getrlimit(2)'s numbers that Python's resource module does not name.
_NUMBERS = {"locks": 10}


def rlimits(ulimits: Iterable[Ulimit]) -> list[RLimit]:
    """Translate ``--ulimit``; -1 means no limit.

    Raises:
        BadRequestError: An unknown name, a soft limit above the hard one, or more than the engine
            may give.
    """
    return [_rlimit(ulimit) for ulimit in ulimits]


def _rlimit(ulimit: Ulimit) -> RLimit:
    if ulimit.name not in _NAMES:
        raise BadRequestError(f"invalid ulimit type: {ulimit.name}. It can be {', '.join(_NAMES)}")
    soft, hard = _amount(ulimit, ulimit.soft), _amount(ulimit, ulimit.hard)
    if soft > hard:
        raise BadRequestError(
            f"ulimit soft limit must be less than or equal to hard limit: {ulimit.name}="
            f"{ulimit.soft}:{ulimit.hard}"
        )
    most = _most(ulimit.name)
    if hard > most and not _may_raise():
        raise BadRequestError(
            f"ulimit {ulimit.name}={ulimit.soft}:{ulimit.hard} is more than the engine itself may "
            f"have ({most}) and it lacks CAP_SYS_RESOURCE. Ask for {most} or less."
        )
    return RLimit(type=f"RLIMIT_{ulimit.name.upper()}", soft=soft, hard=hard)


def _amount(ulimit: Ulimit, value: int) -> int:
    if value < -1 or value > _UNLIMITED:
        raise BadRequestError(
            f"invalid ulimit {ulimit.name}={value}: it must be 0 or more, or -1 for no limit"
        )
    return _UNLIMITED if value == -1 else value


def _most(name: str) -> int:
    number = _NUMBERS.get(name, getattr(resource, f"RLIMIT_{name.upper()}", None))
    if number is None:
        return _UNLIMITED
    hard = resource.getrlimit(number)[1]
    return _UNLIMITED if hard == resource.RLIM_INFINITY else hard


@cache
def lowest_oom_score_adj() -> int:
    """Return how far a container may be kept from the OOM killer; see proc_pid_oom_score_adj(5)."""
    return -1000 if _may_raise() else int(Path("/proc/self/oom_score_adj").read_text())


def _may_raise() -> bool:
    """Whether the engine has CAP_SYS_RESOURCE on the host, as raising a hard limit asks."""
    given = effective([], [], privileged=True, own_user_namespace=False)
    return os.geteuid() == 0 and "CAP_SYS_RESOURCE" in given
