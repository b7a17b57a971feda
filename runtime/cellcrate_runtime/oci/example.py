"""A configuration for those who rehearse a start, while nobody has asked for one yet."""

from __future__ import annotations

from cellcrate_runtime.oci.spec import (
    Capabilities,
    Linux,
    Mount,
    Namespace,
    Process,
    RLimit,
    Root,
    Spec,
    decode,
    encode,
)

__all__ = ["example"]


def example() -> Spec:
    """A configuration much like those that will come, decoded anew as each of those will be."""
    return decode(_CONFIG)


_CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_SETGID", "CAP_SETUID"]

_CONFIG = encode(
    Spec(
        oci_version="1.2.0",
        hostname="rehearsal",
        root=Root(path="rootfs"),
        process=Process(
            cwd="/",
            args=["/bin/true"],
            env=["PATH=/usr/bin:/bin", "HOSTNAME=rehearsal"],
            capabilities=Capabilities(
                bounding=_CAPABILITIES, effective=_CAPABILITIES, permitted=_CAPABILITIES
            ),
            rlimits=[RLimit(type="RLIMIT_NOFILE", soft=1024, hard=1024)],
        ),
        mounts=[
            Mount(destination="/proc", type="proc", source="proc", options=["nosuid"]),
            Mount(destination="/dev", type="tmpfs", source="tmpfs", options=["mode=755"]),
            Mount(destination="/etc/hosts", type="bind", source="/", options=["rbind", "ro"]),
        ],
        linux=Linux(
            namespaces=[
                Namespace(type="pid"),
                Namespace(type="network"),
                Namespace(type="ipc"),
                Namespace(type="uts"),
                Namespace(type="mount"),
                Namespace(type="cgroup"),
            ],
            masked_paths=["/proc/kcore", "/proc/keys"],
            readonly_paths=["/proc/sys", "/proc/bus"],
            cgroups_path="/rehearsal",
        ),
    )
)
