"""What a default container asks of the kernel, and is refused.

Each call is made with arguments that do no harm if it is let through: the error number then tells
of the arguments (EFAULT, EINVAL, EBADF), and not of the filter or of a missing right.
"""

from __future__ import annotations

from typing import Any

import pytest

from engine.conftest import RunningEngine

from .attacker import X86_64_NUMBERS, attack

pytestmark = X86_64_NUMBERS

REFUSED = {
    "mount": "165, b'none', b'/tmp', b'tmpfs', 0, None",
    "umount2": "166, b'/proc/kcore', 0",
    "pivot_root": "155, b'.', b'.'",
    "open_tree": "428, -100, b'/', 1",
    "move_mount": "429, -1, b'', -1, b'', 4",
    "fsopen": "430, b'proc', 0",
    "mount_setattr": "442, -1, b'', 0, None, 0",
    "setns": "308, -1, 0",
    "unshare a user namespace": "272, 0x10000000",
    "unshare a mount namespace": "272, 0x20000",
    "clone a user namespace": "56, 0x10000000 | 0x7f00, 0, 0, 0, 0",
    "bpf": "321, 0, None, 0",
    "perf_event_open": "298, None, 0, -1, -1, 0",
    "userfaultfd": "323, 0",
    "io_uring_setup": "425, 1, None",
    "keyctl": "250, 0, -3, 0",
    "add_key": "248, b'user', b'x', b'x', 1, -3",
    "request_key": "249, b'user', b'x', None, 0",
    "kexec_load": "246, 0, 0, None, -1",
    "kexec_file_load": "320, -1, -1, 0, None, -1",
    "init_module": "175, None, 0, None",
    "finit_module": "313, -1, None, 0",
    "delete_module": "176, None, 0",
    "reboot": "169, 0, 0, 0, None",
    "clock_settime": "227, 0, None",
    "settimeofday": "164, None, None",
    "swapon": "167, None, 0",
    "swapoff": "168, None",
    "acct": "163, b'/nowhere'",
    "quotactl": "179, -1, None, 0, None",
    "syslog": "103, 10, None, 0",
    "iopl": "172, 0",
    "ioperm": "173, 0, 0, 0",
    "open_by_handle_at": "304, -1, None, 0",
    "lookup_dcookie": "212, 0, None, 0",
    "nfsservctl": "180, 0, None, None",
    "mount by the x32 interface": "0x40000000 | 165, None, None, None, 0, None",
    "personality without randomised addresses": "135, 0x40000",
    "fanotify_init": "300, 0, 0",
    "sethostname": "170, b'x', 1",
    "move_pages": "279, 0, 0, None, None, None, 0",
    "a socket to the hypervisor": "41, 40, 1, 0",
    "a socket of the kernel's cryptography": "41, 38, 5, 0",
}
"""How to make each call: its number, and arguments."""


@pytest.fixture(scope="module")
def answers(module_engine: RunningEngine) -> dict[str, Any]:
    """What the kernel said to each of them, asked in one container."""
    attempts = ", ".join(f"{name!r}: ({how})" for name, how in REFUSED.items())
    program = f"tell({{name: call(*how) for name, how in {{{attempts}}}.items()}})"
    found: dict[str, Any] = attack(module_engine, program)
    return found


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(answers: dict[str, Any], name: str) -> None:
    assert answers[name] in ("EPERM", "ENOSYS")


def test_clone3_does_not_exist(engine: RunningEngine) -> None:
    """Its flags are where a filter cannot look."""
    assert attack(engine, "tell(call(435, None, 0))") == "ENOSYS"
