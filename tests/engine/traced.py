"""Containers whose starts are traced, and their traces."""

from __future__ import annotations

import json
from typing import Any

from docker.types import Ulimit

from .conftest import RunningEngine

EMBEDDED = "cellcrate"
#: More than a container has of itself: a limit, a parameter, a volume.
LIMITS = {"mem_limit": "64m", "pids_limit": 50}
MORE = {"ulimits": [Ulimit(name="nofile", soft=200, hard=300)]}


def created(engine: RunningEngine, command: list[str], runtime: str, **options: Any) -> Any:
    """Create a container whose starts are traced, which docker-py has no parameter for."""
    environment = options.pop("environment", None)
    host = engine.client.api.create_host_config(runtime=runtime, **options)
    host["Annotations"] = {"org.cellcrate.trace": "true"}
    made = engine.client.api.create_container(
        engine.image, command, host_config=host, environment=environment
    )
    return engine.client.containers.get(made["Id"])


def trace_of(engine: RunningEngine, container: Any) -> dict[str, Any]:
    answer = engine.request("GET", f"/containers/{container.id}/trace")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


def steps(trace: dict[str, Any], subject: str) -> list[dict[str, Any]]:
    return [step for step in trace["Steps"] if step["Subject"] == subject]


def last(trace: dict[str, Any], subject: str, target: str) -> str:
    """What was done to something last, which is what holds."""
    *_, step = (step for step in steps(trace, subject) if step["Target"] == target)
    return str(step["Detail"])


def pid_of(container: Any) -> int:
    container.reload()
    return int(container.attrs["State"]["Pid"])
