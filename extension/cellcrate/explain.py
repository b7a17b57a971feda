"""From what docker-py raises to an error that says what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cellcrate.errors import CellcrateError, EngineError, EngineUnreachable

if TYPE_CHECKING:
    from docker.errors import APIError

__all__ = ["engine_errors", "is_connection_loss", "is_timeout", "translate"]

CONFLICT = 409
NOT_FOUND = 404
NOT_SERVED = 501


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turn docker-py's errors into Cellcrate's, without the frames in between."""
    try:
        yield
    except CellcrateError:
        raise
    except Exception as error:
        known = translate(error)
        if known is None:
            raise
        raise known from None


def is_timeout(error: BaseException) -> bool:
    """Whether an exception means that the engine did not answer in time."""
    from requests.exceptions import ConnectionError, Timeout
    from urllib3.exceptions import ReadTimeoutError

    # requests wraps a timeout that comes after the headers in a ConnectionError.
    wrapped = isinstance(error, ConnectionError) and bool(error.args)
    return isinstance(error, Timeout) or (wrapped and isinstance(error.args[0], ReadTimeoutError))


def is_connection_loss(error: BaseException) -> bool:
    """Whether an exception means that the engine went away."""
    from docker.errors import APIError
    from requests.exceptions import ChunkedEncodingError
    from requests.exceptions import ConnectionError as NoConnection
    from urllib3.exceptions import ProtocolError

    if isinstance(error, APIError) or is_timeout(error):
        return False
    losses = (ConnectionError, NoConnection, ChunkedEncodingError, ProtocolError)
    return isinstance(error, losses)


def translate(error: BaseException) -> EngineError | None:
    """Return the error for people that stands for one of docker-py's, or None for others."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    if isinstance(error, APIError):
        status = error.response.status_code if error.response is not None else 0
        return EngineError(_explained(error, status), status)
    if is_timeout(error):
        return EngineUnreachable("The engine did not answer in time. %cellcrate doctor looks why.")
    if isinstance(error, RequestException):
        return EngineUnreachable(
            "The engine went away while it was asked. Run the cell again; it is started anew."
        )
    if isinstance(error, DockerException):
        return EngineError(str(error))
    return None


def _explained(error: APIError, status: int) -> str:
    # An answer to HEAD has no body, and docker-py then makes do with the address.
    said = _sentence(str(error.explanation or f"The engine could not do that (HTTP {status})"))
    advice = _advice(said, status)
    return f"{said} {advice}" if advice else said


def _sentence(text: str) -> str:
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


def _advice(said: str, status: int) -> str:
    lower = said.lower()
    # Podman answers 500 where docker answers 409.
    if status >= CONFLICT and "name" in lower and "in use" in lower:
        return "Remove it with %container rm -f NAME, or add --replace to this line."
    if status == CONFLICT and "image" in lower:
        return _image_advice(lower)
    if status == CONFLICT and "running" in lower and "remov" in lower:
        return "Stop it first, or use %container rm -f."
    if status == NOT_FOUND and "no such container" in lower:
        return "%container ps -a lists the containers."
    if status == NOT_FOUND and "no such image" in lower:
        return "%image ls lists the images; %image pull fetches one."
    if status == NOT_SERVED:
        return "CELLCRATE_HOST can point the same cell at Docker, which may serve it."
    if re.search(r"minimum memory limit", lower):
        return "Give --memory at least that."
    return ""


def _image_advice(said: str) -> str:
    """Say how an image can be removed that something needs."""
    if "running" in said or "cannot be forced" in said:
        return "Stop and remove the container first: %container rm -f NAME."
    if "force" in said:
        return "%image rm -f takes it away nevertheless; %container ps -a lists the containers."
    return ""
