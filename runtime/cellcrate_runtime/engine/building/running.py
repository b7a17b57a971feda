"""RUN: a container is made of the steps so far, and what its program changes becomes a layer."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import copy
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cellcrate_runtime.engine import attaching
from cellcrate_runtime.engine.api.types import CreateRequest, HostConfig, LogConfig
from cellcrate_runtime.engine.building.errors import BUILD_LABEL, BuildError
from cellcrate_runtime.engine.building.run_mounts import RunMounts
from cellcrate_runtime.engine.building.state import StageState
from cellcrate_runtime.engine.building.telling import Teller
from cellcrate_runtime.engine.committing import layer_of
from cellcrate_runtime.engine.container import Container
from cellcrate_runtime.engine.creating import create
from cellcrate_runtime.engine.errors import EngineError
from cellcrate_runtime.engine.protocol import Attachment
from cellcrate_runtime.engine.removing import remove
from cellcrate_runtime.engine.starting import start
from cellcrate_runtime.images.additions import NewLayer
from cellcrate_runtime.images.merged import MergedTree

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["Program", "run_program"]

_FRAME = struct.Struct(">BxxxL")  # stream and length, as in an attached connection
_CHUNK = 1 << 16
# Files that the runtime mounts for every container, see oci_config.
_MOUNTED = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/shm", "/proc/sys", "/sys/fs")


@dataclass(slots=True, kw_only=True)
class Program:
    """What a RUN runs.

    Attributes:
        words: The program and its arguments.
        shown: The same as messages show it.
        variables: Variables beside those of the image.
        network: The mode of its network.
        mounts: What is mounted.
        host: Limits and hosts.
        latest: No file of the layer is to be later than this, in seconds since 1970.
    """

    words: Sequence[str]
    shown: str
    variables: dict[str, str] = field(default_factory=dict)
    network: str = "none"
    mounts: RunMounts = field(default_factory=RunMounts)
    host: HostConfig = field(default_factory=HostConfig)
    latest: int | None = None


async def run_program(
    engine: Engine, state: StageState, program: Program, build: str, say: Teller
) -> NewLayer:
    """Run a program upon the steps so far, and put what it changed into the store.

    The container is removed in any case. Call it in ``engine.images.adding()``.

    Args:
        engine: The engine.
        state: The steps so far; their layers are in the store.
        program: What to run.
        build: The id of the build, for the container's label.
        say: Told what the program writes, and what is done.

    Raises:
        BuildError: The program failed.
        EngineError: It could not be started.
    """
    lower = await asyncio.to_thread(engine.images.unpack_layers, state.descriptors, state.diff_ids)
    container, _ = await create(engine, _request(state, program, build), "", state.for_run())
    short = container.id[:12]
    try:
        say(f" ---> Running in {short}\n")
        code = await _run(engine, container, say)
        if code:
            raise BuildError(
                f"The command '{program.shown}' returned a non-zero code: {code}", code
            )
        made = await asyncio.to_thread(_made_for_mounts, lower, program.mounts.targets)
        return await layer_of(engine, container, program.latest, made)
    finally:
        await _remove(engine, container)
        say(f"Removing intermediate container {short}\n")


def _request(state: StageState, program: Program, build: str) -> CreateRequest:
    host = copy.deepcopy(program.host)
    host.network_mode = program.network
    host.log_config = LogConfig(type="none")
    host.mounts = program.mounts.mounts
    host.tmpfs = program.mounts.tmpfs
    known = state.environment
    return CreateRequest(
        image=state.image_id(),
        entrypoint=[""],  # the image's is not for RUN
        cmd=list(program.words),
        env=[f"{name}={value}" for name, value in program.variables.items() if name not in known],
        labels={BUILD_LABEL: build},
        host_config=host,
    )


async def _run(engine: Engine, container: Container, say: Teller) -> int:
    """Start a container, pass its output on, and return its exit status."""
    here, there = socket.socketpair()
    here.setblocking(False)
    with here:
        ended = asyncio.ensure_future(container.wait("next-exit"))
        try:
            await attaching.attach(container, there.detach(), Attachment(detach_keys=b""))
            await start(engine, container)
            await _relay(here, say)
            return (await ended).code
        finally:
            ended.cancel()


async def _relay(connection: socket.socket, say: Teller) -> None:
    """Pass on what comes over an attached connection until it ends."""
    loop = asyncio.get_running_loop()
    decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in (1, 2)}
    pending = b""
    while data := await loop.sock_recv(connection, _CHUNK):
        pending += data
        while len(pending) >= _FRAME.size:
            stream, length = _FRAME.unpack_from(pending)
            end = _FRAME.size + length
            if len(pending) < end:
                break
            text = decoders[2 if stream == 2 else 1].decode(pending[_FRAME.size : end])
            pending = pending[end:]
            if text:
                say(text)
        await say.has_room()


async def _remove(engine: Engine, container: Container) -> None:
    """Remove the container, also when the build has been cancelled."""

    async def work() -> None:
        with contextlib.suppress(EngineError):
            await remove(engine, container, force=True)

    removing = asyncio.ensure_future(work())
    try:
        await asyncio.shield(removing)
    except asyncio.CancelledError:
        await removing
        raise


def _made_for_mounts(layers: Sequence[os.PathLike[str]], targets: Sequence[str]) -> list[str]:
    """The folders that the runtime had to make so that something could be mounted in them.

    They are no changes of the program's, unless it put something into them.
    """
    tree = MergedTree([os.fspath(layer) for layer in reversed(layers)])
    made = set()
    for target in (*targets, *_MOUNTED):
        parts = tuple(part for part in target.split("/") if part)
        for count in range(1, len(parts)):
            with contextlib.suppress(PermissionError):  # of another user's, so it is there
                if tree.at(parts[:count]) is None:
                    made.add("/" + "/".join(parts[:count]))
    return sorted(made)
