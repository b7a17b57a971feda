"""Requests that docker-py has no method for, made with its session.

docker-py's low-level client is a ``requests.Session`` that reaches the engine, so that what follows
works over unix sockets, TLS and SSH alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import quote

__all__ = [
    "checked",
    "container_url",
    "get_stream",
    "image_url",
    "json_stream",
    "post_stream",
]

_CHUNK = 64 * 1024


def container_url(api: Any, container: str, what: str) -> str:
    """Return the address of something that belongs to a container."""
    name = quote(container, safe="")
    return f"{api.base_url}/v{api.api_version}/containers/{name}/{what}"


def image_url(api: Any, image: str, what: str) -> str:
    """Return the address of something that belongs to an image."""
    # Slashes of a name stay: engines take them as they are.
    return f"{api.base_url}/v{api.api_version}/images/{quote(image, safe='/:')}/{what}"


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


def post_stream(
    api: Any, path: str, body: IO[bytes], parameters: dict[str, Any], headers: dict[str, str]
) -> Any:
    """Send a body and return a response that is read as it comes, for as long as it takes."""
    url = f"{api.base_url}/v{api.api_version}/{path}"
    return checked(
        api.post(
            url,
            data=body,
            params=parameters,
            headers=headers,
            stream=True,
            timeout=(api.timeout, None),
        )
    )


def json_stream(response: Any) -> Iterator[dict[str, Any]]:
    """Yield the documents of a response, each when it has come."""
    from docker.utils.json_stream import json_stream as documents

    chunks = (chunk.decode("utf-8", "replace") for chunk in _chunks(response))
    yield from documents(chunks)


def _chunks(response: Any) -> Iterator[bytes]:
    """Yield what has come, line by line, so that no character is cut in two."""
    rest = b""
    for chunk in response.raw.stream(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest
