"""Requests that docker-py has no method for, made with its session.

docker-py's low-level client is a ``requests.Session`` that reaches the engine, so that what follows
works over unix sockets, TLS and SSH alike.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

__all__ = ["checked", "container_url", "get_stream"]


def container_url(api: Any, container: str, what: str) -> str:
    """Return the address of something that belongs to a container."""
    name = quote(container, safe="")
    return f"{api.base_url}/v{api.api_version}/containers/{name}/{what}"


def checked(response: Any) -> Any:
    """Return a response.

    Raises:
        docker.errors.APIError: It tells of an error; docker-py's own kind of it.
    """
    from docker.errors import create_api_error_from_http_exception
    from requests.exceptions import HTTPError

    try:
        response.raise_for_status()
    except HTTPError as error:
        create_api_error_from_http_exception(error)
    return response


def get_stream(api: Any, url: str, parameters: dict[str, Any]) -> Any:
    """Return a response whose body is read as it comes, for as long as it takes."""
    return checked(api.get(url, params=parameters, stream=True, timeout=(api.timeout, None)))
