"""The files around the programs: accounts, folders, terminals, certificates."""

from __future__ import annotations

import os
import platform
import ssl
from pathlib import Path

from cellcrate_runtime.images.packer.plan import Plan

__all__ = ["add_certificates", "add_system_files", "system_name"]

FOLDERS = {
    "/": 0o755, "/dev": 0o755, "/etc": 0o755, "/home": 0o755, "/mnt": 0o755, "/opt": 0o755,
    "/proc": 0o555, "/root": 0o700, "/run": 0o755, "/srv": 0o755, "/sys": 0o555,
    "/tmp": 0o1777, "/usr/bin": 0o755, "/usr/lib": 0o755, "/usr/local/bin": 0o755,
    "/usr/sbin": 0o755, "/var/cache": 0o755, "/var/lib": 0o755, "/var/log": 0o755,
    "/var/tmp": 0o1777,
}  # fmt: skip
NOBODY = 65534
TERMINALS = """
    ansi dumb linux rxvt-unicode rxvt-unicode-256color screen screen-256color tmux tmux-256color
    vt100 vt102 vt220 xterm xterm-256color xterm-color
"""
TERMINFO_FOLDERS = ("/usr/share/terminfo", "/lib/terminfo", "/etc/terminfo")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
# Where distributions keep all certification authorities in one file.
CERTIFICATE_BUNDLES = (
    CERTIFICATES,
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
LARGEST_BUNDLE = 1 << 20
LOCALE = Path("/usr/lib/locale/C.utf8")


def system_name() -> str:
    """What this machine's system calls itself, such as ``Debian GNU/Linux 12 (bookworm)``."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "Linux"


def add_system_files(plan: Plan, *, shell: str) -> None:
    """Add the folders and the small files that programs expect."""
    for name, mode in FOLDERS.items():
        plan.add_folder(name, mode)
    plan.add_link("/var/run", "/run")
    plan.add_text(
        "/etc/passwd",
        f"root:x:0:0:root:/root:{shell}\n"
        "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
        f"nobody:x:{NOBODY}:{NOBODY}:nobody:/nonexistent:/usr/sbin/nologin\n",
    )
    plan.add_text(
        "/etc/group", f"root:x:0:\ndaemon:x:1:\ntty:x:5:\nusers:x:100:\nnogroup:x:{NOBODY}:\n"
    )
    plan.add_text("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    plan.add_text("/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost\n")
    plan.add_text("/etc/hostname", "localhost\n")
    plan.add_text("/etc/resolv.conf", "")
    plan.add_text("/etc/shells", "/bin/sh\n" + (f"{shell}\n" if shell != "/bin/sh" else ""))
    plan.add_text("/etc/os-release", _os_release())
    for name in ("/etc/protocols", "/etc/services"):
        _add_if_readable(plan, name, Path(name))
    _add_terminals(plan)
    if os.path.isdir(LOCALE):
        for path in sorted(LOCALE.rglob("*")):
            _add_if_readable(plan, str(path), path)


def add_certificates(plan: Plan) -> list[str]:
    """Add the certification authorities, and return the variables that lead this Python to them."""
    for name in CERTIFICATE_BUNDLES:
        bundle = Path(name)
        if os.path.isfile(bundle) and bundle.stat().st_size <= LARGEST_BUNDLE:
            _add_if_readable(plan, CERTIFICATES, bundle)
            break
    else:
        return []
    looked_for = ssl.get_default_verify_paths().openssl_cafile
    if not looked_for.startswith(("/usr/", "/etc/")):
        # A Python with a home of its own on this machine, such as conda's, looks in that.
        return [f"SSL_CERT_FILE={CERTIFICATES}"]
    if looked_for not in plan:
        plan.add_link(looked_for, CERTIFICATES)
    return []


def _add_terminals(plan: Plan) -> None:
    for terminal in TERMINALS.split():
        # A folder for the first letter, written as such or (on some systems) as its code.
        for inside in (f"{terminal[0]}/{terminal}", f"{ord(terminal[0]):x}/{terminal}"):
            for folder in TERMINFO_FOLDERS:
                name = f"/usr/share/terminfo/{inside}"
                if name not in plan:
                    _add_if_readable(plan, name, Path(folder, inside))


def _add_if_readable(plan: Plan, name: str, source: Path) -> None:
    if os.path.isfile(source) and os.access(source, os.R_OK):
        plan.add_file(name, source)


def _os_release() -> str:
    """Say what the image is, and what its programs come from; see os-release(5)."""
    return (
        'NAME="Cellcrate base"\n'
        f'PRETTY_NAME="Cellcrate base (programs of {system_name()})"\n'
        "ID=cellcrate\n"
        f'ID_LIKE="{_distribution()}"\n'
    )


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("ID", "linux")
    except OSError:
        return "linux"
