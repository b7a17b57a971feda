"""/etc/hostname, /etc/hosts and /etc/resolv.conf of a container.

Every container has its own, written anew at each start, so that a name it is given is known inside
and the host's own files stay unread and unwritten.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from pathlib import Path

from cellcrate_runtime.engine.container import Definition
from cellcrate_runtime.engine.errors import BadRequestError

__all__ = ["check_extra_hosts", "write_etc_files"]

_LOCAL_NAMES = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def write_etc_files(definition: Definition, folder: Path) -> dict[str, str]:
    """Write the files, which are the container's root's; return where they go in the container."""
    config, host = definition.config, definition.host_config
    folder.mkdir(mode=0o755, exist_ok=True)
    contents = {
        "hostname": f"{config.hostname}\n",
        "hosts": _hosts(definition),
        "resolv.conf": _resolv_conf(host.dns, host.dns_search, host.dns_options),
    }
    for name, content in contents.items():
        if _write_if_new(folder / name, content) and definition.shift is not None:
            root = definition.shift.host_id
            os.chown(folder / name, root, root)
    return {f"/etc/{name}": str(folder / name) for name in contents}


def _write_if_new(path: Path, content: str) -> bool:
    """Write a file that everybody in the container may read, and return whether it was written.

    One that is there with the same content is left alone: to write a file anew is slow, because
    file systems bring what replaces something to the disk at once.
    """
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == content.encode():
            return False
    path.write_bytes(content.encode())
    path.chmod(0o644)
    return True


def check_extra_hosts(entries: list[str]) -> None:
    """Refuse ``--add-host`` that is not ``name:address``.

    Raises:
        BadRequestError: It is not.
    """
    for entry in entries:
        name, colon, address = entry.partition(":")
        try:
            ipaddress.ip_address(address.strip("[]"))
        except ValueError:
            colon = ""
        if not (name and colon):
            raise BadRequestError(
                f'bad format for add-host: "{entry}". Write it as name:address, such as db:10.0.0.5'
            )


def _hosts(definition: Definition) -> str:
    config, host = definition.config, definition.host_config
    lines = [_LOCAL_NAMES]
    for entry in host.extra_hosts:
        name, _, address = entry.partition(":")
        lines.append(f"{address.strip('[]')}\t{name}\n")
    own = config.hostname
    if config.domainname:
        own = f"{config.hostname}.{config.domainname} {config.hostname}"
    lines.append(f"127.0.1.1\t{own}\n")
    return "".join(lines)


def _resolv_conf(servers: list[str], search: list[str], options: list[str]) -> str:
    """Return the host's resolver configuration with what was asked for in its place."""
    lines = []
    for line in _host_lines():
        key = line.split(maxsplit=1)[0]
        replaced = {"nameserver": servers, "search": search, "options": options}
        if not replaced.get(key):
            lines.append(line)
    lines += [f"nameserver {server}" for server in servers]
    if search and search != ["."]:
        lines.append(f"search {' '.join(search)}")
    if options:
        lines.append(f"options {' '.join(options)}")
    return "".join(f"{line}\n" for line in lines)


def _host_lines() -> list[str]:
    try:
        text = Path("/etc/resolv.conf").read_text(errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip() and line[0] not in "#;"]
