"""What the process sees around itself: files, network, namespaces, privileges.

Names and meanings are those of docker's reference, "docker container run"; paths in the body are
those of the Docker Engine API, "ContainerCreate" (v1.47).
"""

from __future__ import annotations

from collections.abc import Iterable

from cellcrate.options import filesystems, ports, values
from cellcrate.options.option import Body, Group, Option, at, items_at, mapping_at

__all__ = ["FILES", "NETWORK", "SECURITY"]


def _put_volumes(body: Body, volumes: Iterable[str]) -> None:
    for volume in volumes:
        if ":" in volume:
            items_at("HostConfig.Binds")(body, [volume])
        else:
            mapping_at("Volumes")(body, [(volume, {})])


FILES = Group(
    "Files",
    (
        Option(
            long="--volume",
            short="-v",
            metavar="FOLDER:/PATH[:ro]",
            repeat=True,
            complete="path",
            read=filesystems.volume,
            put=_put_volumes,
            help="Show a folder of the host in the container.",
        ),
        Option(
            long="--mount",
            metavar="type=bind,source=…,target=…",
            repeat=True,
            read=filesystems.mount,
            put=items_at("HostConfig.Mounts"),
            help="The same, spelt out; type may also be tmpfs.",
        ),
        Option(
            long="--tmpfs",
            metavar="/PATH[:size=64m]",
            repeat=True,
            read=filesystems.tmpfs,
            put=mapping_at("HostConfig.Tmpfs"),
            help="An empty folder in memory.",
        ),
        Option(
            long="--volumes-from",
            metavar="CONTAINER",
            repeat=True,
            complete="container",
            put=items_at("HostConfig.VolumesFrom"),
            help="The volumes of another container.",
        ),
        Option(
            long="--read-only",
            put=at("HostConfig.ReadonlyRootfs"),
            help="Let nothing be written to the container's own files.",
        ),
        Option(
            long="--storage-opt",
            metavar="NAME=VALUE",
            repeat=True,
            read=values.key_value,
            put=mapping_at("HostConfig.StorageOpt"),
            help="An option of the storage driver.",
        ),
        Option(
            long="--device-cgroup-rule",
            metavar="RULE",
            repeat=True,
            put=items_at("HostConfig.DeviceCgroupRules"),
            help="Allow a kind of device, such as c 1:3 mr.",
        ),
        Option(
            long="--device",
            metavar="/dev/NAME[:/dev/NAME][:rwm]",
            repeat=True,
            complete="path",
            read=values.device,
            put=items_at("HostConfig.Devices"),
            help="Show a device of the host in the container.",
        ),
    ),
)


NETWORK = Group(
    "Network",
    (
        Option(
            long="--network",
            aliases=("--net",),
            metavar="NETWORK",
            complete="network",
            put=at("HostConfig.NetworkMode"),
            help="none, host, container:NAME or the name of a network.",
        ),
        Option(
            long="--publish",
            short="-p",
            metavar="[ADDRESS:]PORT:PORT",
            repeat=True,
            read=ports.publish,
            put=ports.put_published,
            help="Let a port of the host lead to a port of the container.",
        ),
        Option(
            long="--publish-all",
            short="-P",
            put=at("HostConfig.PublishAllPorts"),
            help="Publish every port that the image exposes.",
        ),
        Option(
            long="--expose",
            metavar="PORT",
            repeat=True,
            read=ports.expose,
            put=ports.put_exposed,
            help="State that the container serves a port.",
        ),
        Option(
            long="--hostname",
            short="-h",
            metavar="NAME",
            put=at("Hostname"),
            help="The host name that the container sees.",
        ),
        Option(
            long="--domainname",
            metavar="NAME",
            put=at("Domainname"),
            help="The domain name that the container sees.",
        ),
        Option(
            long="--add-host",
            metavar="NAME:ADDRESS",
            repeat=True,
            read=values.host_entry,
            put=items_at("HostConfig.ExtraHosts"),
            help="One more line for /etc/hosts.",
        ),
        Option(
            long="--dns",
            metavar="ADDRESS",
            repeat=True,
            put=items_at("HostConfig.Dns"),
            help="A name server.",
        ),
        Option(
            long="--dns-option",
            aliases=("--dns-opt",),
            metavar="OPTION",
            repeat=True,
            put=items_at("HostConfig.DnsOptions"),
            help="An option of /etc/resolv.conf.",
        ),
        Option(
            long="--dns-search",
            metavar="DOMAIN",
            repeat=True,
            put=items_at("HostConfig.DnsSearch"),
            help="A domain in which names are looked up.",
        ),
        Option(
            long="--mac-address",
            metavar="ADDRESS",
            put=at("MacAddress"),
            help="The network card's address.",
        ),
    ),
)


SECURITY = Group(
    "Isolation",
    (
        Option(
            long="--privileged",
            put=at("HostConfig.Privileged"),
            help="Take the isolation away: every capability, every device.",
        ),
        Option(
            long="--cap-add",
            metavar="CAPABILITY",
            repeat=True,
            complete="capability",
            put=items_at("HostConfig.CapAdd"),
            help="Give one more Linux capability, such as NET_ADMIN.",
        ),
        Option(
            long="--cap-drop",
            metavar="CAPABILITY",
            repeat=True,
            complete="capability",
            put=items_at("HostConfig.CapDrop"),
            help="Take a Linux capability away; ALL takes every one.",
        ),
        Option(
            long="--security-opt",
            metavar="OPTION",
            repeat=True,
            put=items_at("HostConfig.SecurityOpt"),
            help="no-new-privileges, seccomp=unconfined and their like.",
        ),
        Option(
            long="--pid",
            metavar="MODE",
            put=at("HostConfig.PidMode"),
            help="The PID namespace: host or container:NAME, in place of one of its own.",
        ),
        Option(
            long="--ipc",
            metavar="MODE",
            put=at("HostConfig.IpcMode"),
            help="The IPC namespace: none, private, shareable, host or container:NAME.",
        ),
        Option(
            long="--uts",
            metavar="MODE",
            put=at("HostConfig.UTSMode"),
            help="The UTS namespace (host name): host, in place of one of its own.",
        ),
        Option(
            long="--userns",
            metavar="MODE",
            put=at("HostConfig.UsernsMode"),
            help="The user namespace: host, in place of one of its own.",
        ),
        Option(
            long="--cgroupns",
            metavar="MODE",
            choices=("host", "private"),
            put=at("HostConfig.CgroupnsMode"),
            help="The cgroup namespace.",
        ),
        Option(
            long="--sysctl",
            metavar="NAME=VALUE",
            repeat=True,
            read=values.key_value,
            put=mapping_at("HostConfig.Sysctls"),
            help="Set a kernel parameter that belongs to a namespace.",
        ),
    ),
)
