"""The loopback interface of a new network namespace."""

from __future__ import annotations

import fcntl
import socket
import struct

__all__ = ["bring_loopback_up"]

# linux/sockios.h and linux/if.h
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_REQUEST = struct.Struct("16sh22x")  # struct ifreq: a name, then the flags


def bring_loopback_up() -> None:
    """Bring ``lo`` up in this network namespace; the kernel then gives it 127.0.0.1 and ::1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _REQUEST.pack(b"lo", 0))
        flags: int = _REQUEST.unpack(answer)[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _REQUEST.pack(b"lo", flags | _IFF_UP))
