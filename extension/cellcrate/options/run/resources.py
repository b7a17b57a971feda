"""The options that limit what a container may use.

Names and meanings are those of docker's reference, "docker container run"; the paths in the body
are those of the Docker Engine API, "Resources" (v1.47).
"""

from __future__ import annotations

from cellcrate.options import values
from cellcrate.options.option import Group, Option, at, items_at

__all__ = ["LIVE", "RESOURCES"]

# What a running container's limits may be changed to (ContainerUpdate takes the same fields, at the
# top of its body).
_LIVE = (
    ("--cpus", "", "NUMBER", values.cpus, "NanoCpus", "How many processors: 0.5, 2."),
    (
        "--memory",
        "-m",
        "SIZE",
        values.size,
        "Memory",
        "The limit on memory: 64m, 1g. The kernel kills what would exceed it.",
    ),
    (
        "--memory-reservation",
        "",
        "SIZE",
        values.size,
        "MemoryReservation",
        "The memory it is left with when the machine runs short.",
    ),
    (
        "--memory-swap",
        "",
        "SIZE",
        values.memory_swap,
        "MemorySwap",
        "The limit on memory and swap together; -1 for none.",
    ),
    ("--pids-limit", "", "N", values.pids, "PidsLimit", "The limit on processes; -1 for none."),
    (
        "--cpu-shares",
        "-c",
        "WEIGHT",
        values.count,
        "CpuShares",
        "Its share of a busy processor against others, which have 1024.",
    ),
    ("--cpuset-cpus", "", "LIST", str, "CpusetCpus", "The processors to run on: 0-2 or 0,2."),
    ("--cpuset-mems", "", "LIST", str, "CpusetMems", "The memory nodes to use: 0-1."),
    (
        "--cpu-period",
        "",
        "MICROSECONDS",
        values.count,
        "CpuPeriod",
        "The period in which --cpu-quota counts. Default: 100000.",
    ),
    (
        "--cpu-quota",
        "",
        "MICROSECONDS",
        values.integer,
        "CpuQuota",
        "The processor time in each period.",
    ),
    ("--cpu-rt-period", "", "MICROSECONDS", values.count, "CpuRealtimePeriod", "For real time."),
    ("--cpu-rt-runtime", "", "MICROSECONDS", values.count, "CpuRealtimeRuntime", "For real time."),
    (
        "--blkio-weight",
        "",
        "WEIGHT",
        values.count,
        "BlkioWeight",
        "Its share of a busy disk, from 10 to 1000.",
    ),
)


def _options(prefix: str) -> tuple[Option, ...]:
    return tuple(
        Option(
            long=long, short=short, metavar=metavar, read=read, put=at(prefix + field), help=text
        )
        for long, short, metavar, read, field, text in _LIVE
    )


def _by_device() -> tuple[Option, ...]:
    rows = (
        ("--device-read-bps", "BlkioDeviceReadBps", "Limit the bytes read a second."),
        ("--device-write-bps", "BlkioDeviceWriteBps", "Limit the bytes written a second."),
        ("--device-read-iops", "BlkioDeviceReadIOps", "Limit the reads a second."),
        ("--device-write-iops", "BlkioDeviceWriteIOps", "Limit the writes a second."),
    )
    weights = Option(
        long="--blkio-weight-device",
        metavar="DEVICE:WEIGHT",
        repeat=True,
        read=values.device_weight,
        put=items_at("HostConfig.BlkioWeightDevice"),
        help="The same for one device.",
    )
    rates = tuple(
        Option(
            long=long,
            metavar="DEVICE:RATE",
            repeat=True,
            read=values.rate,
            put=items_at(f"HostConfig.{field}"),
            help=text,
        )
        for long, field, text in rows
    )
    return (weights, *rates)


#: What ``%%container`` limits.
RESOURCES = Group(
    "Limits",
    (
        *_options("HostConfig."),
        *_by_device(),
        Option(
            long="--shm-size",
            metavar="SIZE",
            read=values.size,
            put=at("HostConfig.ShmSize"),
            help="The size of /dev/shm.",
        ),
        Option(
            long="--ulimit",
            metavar="NAME=SOFT[:HARD]",
            repeat=True,
            read=values.ulimit,
            put=items_at("HostConfig.Ulimits"),
            help="A limit on each process, such as nofile=1024.",
        ),
        Option(
            long="--memory-swappiness",
            metavar="0-100",
            read=values.count,
            put=at("HostConfig.MemorySwappiness"),
            help="How readily its memory is swapped out.",
        ),
        Option(
            long="--oom-kill-disable",
            put=at("HostConfig.OomKillDisable"),
            help="Let processes wait for memory, in place of killing one.",
        ),
        Option(
            long="--oom-score-adj",
            metavar="N",
            read=values.integer,
            put=at("HostConfig.OomScoreAdj"),
            help="How readily the kernel kills it when the machine is out of memory.",
        ),
        Option(
            long="--cgroup-parent",
            metavar="PATH",
            put=at("HostConfig.CgroupParent"),
            help="The cgroup to make its own in.",
        ),
    ),
)

#: What ``%container update`` changes while it runs.
LIVE = Group("Limits", _options(""))
