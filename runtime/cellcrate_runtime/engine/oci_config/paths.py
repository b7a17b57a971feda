"""Files of /proc and /sys that tell about the host, or change it, are hidden or read-only.

Source: the lists are Docker's (moby, daemon/pkg/oci/defaults.go).
"""

from __future__ import annotations

__all__ = ["MASKED", "READ_ONLY"]

MASKED = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
]

READ_ONLY = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
]
