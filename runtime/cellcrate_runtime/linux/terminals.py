"""Pseudo-terminals: see pty(7) and ioctl_tty(2)."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import termios

__all__ = ["adopt", "keep_newlines", "open_pair", "set_size"]

_TIOCSPTLCK = 0x4004_5431  # asm-generic/ioctls.h
_TIOCGPTPEER = 0x5441
_PTMX = os.makedev(5, 2)  # Documentation/admin-guide/devices.txt


def open_pair(ptmx: int) -> tuple[int, int]:
    """Make a new terminal: the descriptors of its master and of its slave.

    The slave is asked of the master, so no name has to be looked up for it and none can mislead.

    Args:
        ptmx: An O_PATH descriptor of the ``ptmx`` of the devpts that the terminal shall be in.

    Raises:
        OSError: ENOTTY where ``ptmx`` is something else.
    """
    status = os.fstat(ptmx)
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _PTMX:
        raise OSError(errno.ENOTTY, "not the terminal multiplexer", "/dev/pts/ptmx")
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    master = os.open(f"/proc/self/fd/{ptmx}", flags)
    try:
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        return master, fcntl.ioctl(master, _TIOCGPTPEER, flags)
    except BaseException:
        os.close(master)
        raise


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Set a terminal's size in characters; what runs in it gets SIGWINCH."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))


def keep_newlines(terminal: int) -> None:
    """Have a terminal pass newlines on as they are, with no carriage return before them."""
    attributes = termios.tcgetattr(terminal)
    attributes[1] &= ~termios.ONLCR
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)


def adopt(slave: int) -> None:
    """Make a terminal the controlling terminal of this session, which this process must lead."""
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
