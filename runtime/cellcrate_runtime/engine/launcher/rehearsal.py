"""Go through the motions of a start, without starting anything.

What a start reads, checks and computes is done with an example; the relay carries a few bytes.
"""

from __future__ import annotations

import os
import socket

import msgspec

from cellcrate_runtime.engine import wire
from cellcrate_runtime.engine.protocol import Attachment, Launch, LogFile, Rootfs
from cellcrate_runtime.engine.shim.json_log import JsonLog
from cellcrate_runtime.engine.shim.loop import READABLE, Loop
from cellcrate_runtime.engine.shim.relay import Relay
from cellcrate_runtime.engine.shim.streams import ProgramStreams, close_stdio
from cellcrate_runtime.oci.example import example
from cellcrate_runtime.oci.rehearsal import rehearse_making

__all__ = ["rehearse"]


def rehearse() -> None:
    """Do all of it once; nothing remains."""
    wire.launcher_requests.decode(_REQUEST)
    rehearse_making(example())
    _relay()


def _relay() -> None:
    """Have a client type something, a program say it, and the program end."""
    here, there = socket.socketpair()
    streams, stdio = ProgramStreams.pipes(stdin=True, stdout=True, stderr=True)
    loop = Loop()
    with here:
        relay = Relay(loop, streams, log=JsonLog(LogFile(path=os.devnull)), input_once=True)
        relay.attach(there.detach(), Attachment(stdin=True, initial_input=b"echo\n"))
        os.write(stdio.stdout, os.read(stdio.stdin, 100))
        close_stdio(stdio)
        end = os.eventfd(1, os.EFD_CLOEXEC)

        def ended(_events: int) -> None:
            loop.forget(end)
            os.close(end)
            relay.finish()

        loop.watch(end, READABLE, ended)
        loop.run()


_REQUEST = msgspec.msgpack.encode(
    Launch(
        container_id="0" * 64,
        bundle="/bundle",
        rootfs=Rootfs(lower=["/a", "/b"], upper="/u", work="/w", mount_point="/m"),
        log=LogFile(path="/log"),
        exit_file="/exit",
        run_dir="/run",
        clients=[Attachment(stdin=True)],
    )
)
