"""COPY, ADD and WORKDIR as what a worker is told to copy."""

from __future__ import annotations

import asyncio
import posixpath
import time

from cellcrate_runtime.engine.building.copy_request import CopyRequest, Written
from cellcrate_runtime.engine.building.fetching import fetch, is_address, refuse_git
from cellcrate_runtime.engine.building.session import Origin, Session
from cellcrate_runtime.images.dockerfile.errors import DockerfileError
from cellcrate_runtime.images.dockerfile.instructions import Add, Copy

__all__ = ["add_request", "copy_request", "folder_request"]


def copy_request(
    instruction: Copy, origin: Origin, lower: list[str], folder: str, session: Session
) -> CopyRequest:
    """A COPY.

    Args:
        instruction: With its variables replaced.
        origin: What ``--from`` names.
        lower: The layers of the stage, topmost first.
        folder: The working directory.
        session: The build.
    """
    request = _request(instruction, lower, folder, session)
    request.origin, request.where = origin.layers, origin.name
    request.sources = list(instruction.sources)
    return request


async def add_request(
    instruction: Add, lower: list[str], folder: str, session: Session
) -> CopyRequest:
    """An ADD; what it names by address is fetched now.

    Raises:
        DockerfileError: ``--checksum`` is given without an address.
        FetchError: Something cannot be fetched.
    """
    request = _request(instruction, lower, folder, session)
    request.origin = [str(session.workspace.context)]
    request.scratch = str(session.workspace.scratch)
    request.unpack = instruction.unpack is not False
    request.unpack_fetched = instruction.unpack is True
    for source in instruction.sources:
        refuse_git(source)
    addresses = [source for source in instruction.sources if is_address(source)]
    if instruction.checksum and (len(addresses) != 1 or len(instruction.sources) != 1):
        raise DockerfileError("checksum is only supported for one address: ADD --checksum=… URL")
    request.sources = [source for source in instruction.sources if not is_address(source)]
    for address in addresses:
        path = session.workspace.file()
        request.fetched.append(
            await asyncio.to_thread(fetch, address, path, request.destination, instruction.checksum)
        )
    return request


def folder_request(path: str, lower: list[str], session: Session) -> CopyRequest:
    """The folder of a WORKDIR, which is made where it is missing."""
    return CopyRequest(
        keyword="WORKDIR",
        base=lower,
        destination=path,
        latest=session.latest,
        now=int(time.time()),
    )


def _request(
    instruction: Copy | Add, lower: list[str], folder: str, session: Session
) -> CopyRequest:
    destination = posixpath.join(folder, instruction.destination)
    return CopyRequest(
        keyword="COPY" if isinstance(instruction, Copy) else "ADD",
        base=[] if instruction.link else lower,
        destination=destination,
        written=[Written(one.name, one.text.encode()) for one in instruction.contents],
        fetched=[],
        chown=instruction.chown,
        chmod=instruction.chmod,
        excludes=list(instruction.excludes),
        parents=instruction.parents,
        latest=session.latest,
        now=int(time.time()),
    )
