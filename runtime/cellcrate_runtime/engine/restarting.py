"""``--restart``: whether and when a container that ended is started again.

Source: moby, daemon/internal/restartmanager: the pause begins with 100 ms, doubles with every
restart up to a minute, and begins anew after a run of ten seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from cellcrate_runtime.engine.api.types import RestartPolicy
from cellcrate_runtime.engine.errors import BadRequestError

__all__ = ["BackOff", "check_policy", "should_restart"]

_FIRST_PAUSE = 0.1  # seconds
_LONGEST_PAUSE = 60.0
_LONG_RUN = 10.0
_POLICIES = ("no", "always", "on-failure", "unless-stopped")


def check_policy(policy: RestartPolicy) -> None:
    """Refuse a policy that makes no sense.

    Raises:
        BadRequestError: With Docker's words.
    """
    if policy.name not in (*_POLICIES, ""):
        named = ", ".join(f"'{name}'" for name in _POLICIES)
        raise BadRequestError(
            f"invalid restart policy: unknown policy '{policy.name}'; use one of {named}"
        )
    if policy.maximum_retry_count < 0:
        raise BadRequestError("invalid restart policy: maximum retry count cannot be negative")
    if policy.maximum_retry_count and policy.name not in ("on-failure", ""):
        raise BadRequestError(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        )


def should_restart(
    policy: RestartPolicy, *, exit_code: int, stopped_by_user: bool, restarts: int
) -> bool:
    """Tell whether a container that ended is started again."""
    if stopped_by_user:
        return False
    if policy.name in ("always", "unless-stopped"):
        return True
    if policy.name == "on-failure" and exit_code != 0:
        return not policy.maximum_retry_count or restarts < policy.maximum_retry_count
    return False


@dataclass
class BackOff:
    """How long to wait before the next restart."""

    pause: float = 0.0

    def next(self, ran_for: float) -> float:
        """Return the pause, in seconds, after a run of so many seconds."""
        if ran_for >= _LONG_RUN:
            self.pause = 0.0
        self.pause = min(self.pause * 2, _LONGEST_PAUSE) if self.pause else _FIRST_PAUSE
        return self.pause
