"""What can go wrong, in the words and with the status codes of the Docker Engine API.

Handlers and the engine raise these; :mod:`cellcrate_runtime.engine.api.errors` answers with
``{"message": ...}``, which the ``docker`` command prints after "Error response from daemon:".
"""

from __future__ import annotations

__all__ = [
    "AmbiguousIDError",
    "BadRequestError",
    "ConflictError",
    "ContainerNotFoundError",
    "ContainerNotRunningError",
    "EngineError",
    "NotFoundError",
    "NotModifiedError",
    "NotServedError",
]


class EngineError(Exception):
    """Something that a person asked for and did not get; ``message`` says why and what to do."""

    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotModifiedError(EngineError):
    """The container is already in the state that was asked for; no error for the client."""

    status = 304


class BadRequestError(EngineError):
    """The request makes no sense, or asks for more than the machine has."""

    status = 400


class NotFoundError(EngineError):
    """There is no such container, image, file or process."""

    status = 404


class ConflictError(EngineError):
    """The request cannot be done in the present state, or a name is taken."""

    status = 409


class NotServedError(EngineError):
    """A part of the Docker Engine API that this engine does not have yet."""

    status = 501

    def __init__(self, what: str, advice: str = "") -> None:
        # `docker inspect` asks for kinds of objects in turn, and goes on after "not supported".
        message = f"{what} is not supported: it is not served by this engine yet"
        super().__init__(f"{message}. {advice}" if advice else message)


class ContainerNotFoundError(NotFoundError):
    """No container has this id or name."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"No such container: {reference}")


class ContainerNotRunningError(ConflictError):
    """The request needs a container that runs."""

    def __init__(self, container_id: str) -> None:
        super().__init__(f"container {container_id} is not running")


class AmbiguousIDError(BadRequestError):
    """An id prefix that several containers share."""

    def __init__(self, prefix: str) -> None:
        super().__init__(
            f"multiple IDs found with provided prefix: {prefix}. Give more of the id, or the name."
        )
