"""How a failure becomes an HTTP answer."""

from __future__ import annotations

import logging
from http.client import responses

from tornado.web import HTTPError

from cellcrate_runtime.engine.errors import EngineError
from cellcrate_runtime.images import (
    AmbiguousImageError,
    ImageConflictError,
    ImageError,
    ImageNotFoundError,
    InvalidArchiveError,
    InvalidReferenceError,
)
from cellcrate_runtime.images.dockerfile.errors import DockerfileError
from cellcrate_runtime.images.registry.errors import (
    AccessDeniedError,
    InvalidRequestError,
    LoginFailedError,
    NotInRegistryError,
)

__all__ = ["ClientGoneError", "answer_for"]

# The first that fits.
_OF_IMAGES: tuple[tuple[type[ImageError], int], ...] = (
    (InvalidRequestError, 400),
    (NotInRegistryError, 404),
    (LoginFailedError, 401),
    (AccessDeniedError, 403),
    (AmbiguousImageError, 400),
    (ImageNotFoundError, 404),
    (InvalidReferenceError, 400),
    (DockerfileError, 400),
    (ImageConflictError, 409),
    (InvalidArchiveError, 400),
    (ImageError, 500),
)
_log = logging.getLogger("cellcrate.api")


class ClientGoneError(Exception):
    """The client hung up before it had its answer."""


def answer_for(error: BaseException) -> tuple[int, str]:
    """Return the status and message to answer with.

    What nobody foresaw is logged with its traceback and answered with 500 and its own words: the
    socket is private to the user, so there is nothing to hide and much to gain from saying it.
    """
    if isinstance(error, EngineError):
        return error.status, error.message
    for kind, status in _OF_IMAGES:
        if isinstance(error, kind):
            return status, str(error)
    if isinstance(error, HTTPError):
        return error.status_code, error.log_message or error.reason or responses[error.status_code]
    _log.error("unforeseen failure", exc_info=error)
    return 500, f"{type(error).__name__}: {error}"
