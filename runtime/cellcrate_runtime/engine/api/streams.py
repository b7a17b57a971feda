"""What answers that go on for a while have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.api.app import Handler

__all__ = ["moment", "send_all"]


def moment(handler: Handler, name: str) -> int | None:
    """Return a moment of the query string, in nanoseconds; None when it was not given.

    Raises:
        InvalidTimeError: It is not a time.
    """
    text = handler.query(name)
    # Some clients send 0 for "no end"; for a beginning 0 means all there is.
    if not text or (name == "until" and text == "0"):
        return None
    return timestamps.parse(text)


async def send_all(handler: Handler, chunks: AsyncIterator[bytes]) -> None:
    """Send an answer chunk by chunk, each at once, as fast as the client reads.

    The headers go first, so that a client knows that it is heard before there is anything to say.

    Raises:
        ClientGoneError: The client hung up. The iterator has been cancelled.
    """
    await handler.stream(b"")
    while (chunk := await handler.or_disconnect(anext(chunks, None))) is not None:
        await handler.stream(chunk)
    await handler.finish()
