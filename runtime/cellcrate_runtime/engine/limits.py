"""What a container may take: checked against sense and against this machine, then translated.

The meanings, the wording and the order of the checks are Docker's (moby, daemon/daemon_unix.go,
verifyPlatformContainerResources), with two differences: a limit that cannot be set here is an
error and never a warning, and so is one that is larger than the machine.
"""

from __future__ import annotations

import os
from functools import cache

from cellcrate_runtime.engine.api.types import Resources as Asked
from cellcrate_runtime.engine.api.types import ThrottleDevice, WeightDevice
from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.linux.cgroups import check
from cellcrate_runtime.linux.cgroups import resources as oci
from cellcrate_runtime.linux.cgroups.features import features

__all__ = ["check_limits", "resources_of"]

MIN_MEMORY = 6 * 1024 * 1024  # bytes; below, a container could not even start
_CPU_PERIOD = 100_000  # microseconds, the kernel's default


def check_limits(asked: Asked, *, update: bool = False) -> None:
    """Refuse limits that make no sense, or that this machine or this user cannot have.

    Args:
        asked: The limits.
        update: Whether they change a container that exists, so that a part is enough.

    Raises:
        BadRequestError: With what to do instead.
    """
    _check_memory(asked, update)
    _check_cpu(asked)
    _check_rest(asked)
    _check_machine(asked)


def resources_of(asked: Asked) -> oci.Resources:
    """Translate limits to the words of the OCI runtime specification; devices are not in it."""
    return oci.Resources(
        memory=_memory(asked),
        cpu=_cpu(asked),
        pids=None if asked.pids_limit is None else oci.Pids(limit=asked.pids_limit or -1),
        block_io=_block_io(asked),
    )


# -- checks ------------------------------------------------------------------------------------


def _check_memory(asked: Asked, update: bool) -> None:
    memory, swap = asked.memory, asked.memory_swap
    if memory < 0:
        raise BadRequestError(
            f"invalid memory limit {memory}: it must be 6 MB or more, or left out for no limit"
        )
    if 0 < memory < MIN_MEMORY:
        raise BadRequestError("Minimum memory limit allowed is 6MB")
    if swap < -1:
        raise BadRequestError(
            f"invalid memory-swap limit {swap}: it is memory and swap together in bytes, or -1 "
            "for unlimited swap"
        )
    if 0 < swap < memory:
        raise BadRequestError(
            "Minimum memoryswap limit should be larger than memory limit, see usage"
        )
    if swap > 0 and not memory and not update:
        raise BadRequestError(
            "You should always set the Memory limit when using Memoryswap limit, see usage"
        )
    if asked.memory_swappiness is not None and not -1 <= asked.memory_swappiness <= 100:
        raise BadRequestError(
            f"Invalid value: {asked.memory_swappiness}, valid memory swappiness range is 0-100"
        )
    reservation = asked.memory_reservation
    if reservation < 0 or 0 < reservation < MIN_MEMORY:
        raise BadRequestError("Minimum memory reservation allowed is 6MB")
    if 0 < memory < reservation:
        raise BadRequestError(
            "Minimum memory limit can not be less than memory reservation limit, see usage"
        )


def _check_cpu(asked: Asked) -> None:
    if asked.nano_cpus and asked.cpu_period:
        raise BadRequestError("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if asked.nano_cpus and asked.cpu_quota:
        raise BadRequestError("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    if asked.nano_cpus:
        _check_cpus(asked.nano_cpus)
    if asked.cpu_shares < 0:
        raise BadRequestError(
            f"invalid CPU shares {asked.cpu_shares}: it is a weight, 2 or more, or left out for "
            "1024"
        )
    if asked.cpu_period and not 1000 <= asked.cpu_period <= 1_000_000:
        raise BadRequestError(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    if asked.cpu_quota < -1 or 0 < asked.cpu_quota < 1000:
        raise BadRequestError("CPU cfs quota can not be less than 1ms (i.e. 1000)")


def _check_cpus(nano_cpus: int) -> None:
    count = os.cpu_count() or 1
    if not 10_000_000 <= nano_cpus <= count * 1_000_000_000:
        raise BadRequestError(
            f"range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available"
        )


def _check_rest(asked: Asked) -> None:
    if asked.blkio_weight and not 10 <= asked.blkio_weight <= 1000:
        raise BadRequestError("Range of blkio weight is from 10 to 1000")
    if asked.pids_limit is not None and asked.pids_limit < -1:
        raise BadRequestError(
            f"invalid pids limit {asked.pids_limit}: it must be more than 0, or 0 or -1 for no "
            "limit"
        )
    if asked.cpu_realtime_period or asked.cpu_realtime_runtime:
        raise BadRequestError(
            "real-time CPU limits are not supported: kernels with cgroup v2 do not have them. "
            "Use --cpus"
        )


def _check_machine(asked: Asked) -> None:
    """Refuse what is more than the machine has, or what nothing here can limit."""
    problems = check(resources_of(asked))
    if problems:
        raise BadRequestError(" ".join(problem.message for problem in problems))


# -- translation -------------------------------------------------------------------------------


def _memory(asked: Asked) -> oci.Memory | None:
    swap = asked.memory_swap
    if asked.memory and not swap and _counts_swap():
        # As in Docker: as much swap again as memory, where the kernel counts it.
        swap = 2 * asked.memory
    swappiness = asked.memory_swappiness if asked.memory_swappiness != -1 else None
    disable = asked.oom_kill_disable or None
    if not (asked.memory or swap or asked.memory_reservation or swappiness is not None or disable):
        return None
    return oci.Memory(
        limit=asked.memory or None,
        swap=swap or None,
        reservation=asked.memory_reservation or None,
        swappiness=swappiness,
        disable_oom_killer=disable,
    )


@cache
def _counts_swap() -> bool:
    """Whether swap can be limited; where memory cannot either, that is refused for itself."""
    found = features()
    return found.swap_limit or not found.memory_limit


def _cpu(asked: Asked) -> oci.CPU | None:
    quota, period = asked.cpu_quota or None, asked.cpu_period or None
    if asked.nano_cpus:
        period = _CPU_PERIOD
        quota = asked.nano_cpus * _CPU_PERIOD // 1_000_000_000
    if not (quota or period or asked.cpu_shares or asked.cpuset_cpus or asked.cpuset_mems):
        return None
    return oci.CPU(
        shares=asked.cpu_shares or None,
        quota=quota,
        period=period,
        cpus=asked.cpuset_cpus or None,
        mems=asked.cpuset_mems or None,
    )


def _block_io(asked: Asked) -> oci.BlockIO | None:
    if not (
        asked.blkio_weight
        or asked.blkio_weight_device
        or asked.blkio_device_read_bps
        or asked.blkio_device_write_bps
        or asked.blkio_device_read_iops
        or asked.blkio_device_write_iops
    ):
        return None
    return oci.BlockIO(
        weight=asked.blkio_weight or None,
        weight_device=[_weight(device) for device in asked.blkio_weight_device],
        throttle_read_bps_device=[_rate(d) for d in asked.blkio_device_read_bps],
        throttle_write_bps_device=[_rate(d) for d in asked.blkio_device_write_bps],
        throttle_read_iops_device=[_rate(d) for d in asked.blkio_device_read_iops],
        throttle_write_iops_device=[_rate(d) for d in asked.blkio_device_write_iops],
    )


def _weight(device: WeightDevice) -> oci.WeightDevice:
    major, minor = _block_device(device.path)
    if not 10 <= device.weight <= 1000:
        raise BadRequestError("Range of blkio weight is from 10 to 1000")
    return oci.WeightDevice(major=major, minor=minor, weight=device.weight)


def _rate(device: ThrottleDevice) -> oci.ThrottleDevice:
    major, minor = _block_device(device.path)
    if device.rate <= 0:
        raise BadRequestError(f"invalid rate {device.rate} for {device.path}: it must be above 0")
    return oci.ThrottleDevice(major=major, minor=minor, rate=device.rate)


def _block_device(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise BadRequestError(f"no such block device: {path}: {error.strerror}") from None
    if not os.path.isabs(path) or status.st_rdev == 0:
        raise BadRequestError(f"{path} is not a block device")
    return os.major(status.st_rdev), os.minor(status.st_rdev)
