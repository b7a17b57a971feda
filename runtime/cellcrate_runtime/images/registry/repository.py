"""One repository of a registry: its manifests, blobs and tags.

Source: distribution-spec 1.1, spec.md, "Endpoints"; the numbers end-1 to end-13 are its own.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin

import msgspec

from cellcrate_runtime.images.digests import digest_of
from cellcrate_runtime.images.documents import INDEX_TYPES, MANIFEST_TYPES
from cellcrate_runtime.images.errors import CorruptContentError
from cellcrate_runtime.images.references import is_digest
from cellcrate_runtime.images.registry.auth import pull_scope, push_scope
from cellcrate_runtime.images.registry.connection import Connection
from cellcrate_runtime.images.registry.errors import RegistryError
from cellcrate_runtime.images.registry.transport import Response

__all__ = ["LARGEST_DOCUMENT", "Fetched", "Repository"]

LARGEST_DOCUMENT = 4 << 20  # bytes; distribution-spec 1.1, "Pushing Manifests", names this bound
_PAGE = 1000
_MOST_PAGES = 10_000
_next_page = re.compile(r'<([^>]*)>\s*;\s*rel="?next"?')


@dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest or an index, as it came; its digest has been checked."""

    content: bytes
    media_type: str
    digest: str


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


class Repository:
    """A repository at one address of its registry.

    Attributes:
        connection: To the registry.
        path: The repository's name there, such as ``library/python``.
    """

    def __init__(self, connection: Connection, path: str) -> None:
        self.connection = connection
        self.path = path
        self.pulling = (pull_scope(path),)
        self.pushing = (push_scope(path),)

    @property
    def base(self) -> str:
        """Where its addresses begin."""
        return f"/v2/{self.path}"

    def manifest(self, reference: str) -> Fetched:
        """Get a manifest or an index by its tag or digest (end-3).

        Raises:
            NotInRegistryError: There is none.
            CorruptContentError: It is not what was asked for, or not what its header says.
        """
        with self.connection.request(
            "GET", f"{self.base}/manifests/{reference}", self.pulling, headers=_accepting()
        ) as response:
            content = response.document(LARGEST_DOCUMENT)
        digest = digest_of(content)
        named = response.headers.get("Docker-Content-Digest", "")
        wanted = [reference] if ":" in reference else []
        # A digest of another kind cannot be compared; by what it was asked for, it is.
        wanted += [named] if is_digest(named) else []
        for expected in wanted:
            if expected != digest:
                raise CorruptContentError(
                    f"the registry was asked for the manifest {reference} and sent one whose "
                    f"digest is {digest}, where it should be {expected}. It was not used."
                )
        return Fetched(content, _media_type(response, content), digest)

    def put_manifest(self, reference: str, media_type: str, content: bytes) -> None:
        """Store a manifest under a tag, or under its digest (end-7).

        Raises:
            RegistryError: The registry refuses, or has stored something else.
        """
        with self.connection.request(
            "PUT",
            f"{self.base}/manifests/{reference}",
            self.pushing,
            headers={"Content-Type": media_type, "Content-Length": str(len(content))},
            body=lambda: io.BytesIO(content),
            expected=(200, 201, 202),
        ) as response:
            stored = response.headers.get("Docker-Content-Digest", "")
        if is_digest(stored) and stored != digest_of(content):
            raise CorruptContentError(
                f"the registry has stored the manifest {digest_of(content)} as {stored}."
            )

    def delete_manifest(self, digest: str) -> None:
        """Delete a manifest by its digest, or a tag where the registry can (end-9).

        Raises:
            NotInRegistryError: There is none.
            RegistryError: The registry deletes nothing.
        """
        scopes = (f"repository:{self.path}:delete",)
        path = f"{self.base}/manifests/{digest}"
        self.connection.request("DELETE", path, scopes, expected=(200, 202)).close()

    def blob(self, digest: str, offset: int = 0) -> Response:
        """Get a blob (end-2), or the rest of it after some bytes; status 206 if it is the rest.

        Raises:
            NotInRegistryError: There is none.
        """
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        return self.connection.request(
            "GET",
            f"{self.base}/blobs/{digest}",
            self.pulling,
            headers=headers,
            attempts=1,  # who downloads has patience of a better kind
            expected=(200, 206, 416),
        )

    def small_blob(self, digest: str) -> bytes:
        """Get a blob that is a document, such as an image's configuration, verified.

        Raises:
            NotInRegistryError: There is none.
            CorruptContentError: It is another one.
        """
        with self.connection.request(
            "GET", f"{self.base}/blobs/{digest}", self.pulling
        ) as response:
            content = response.document(LARGEST_DOCUMENT)
        if digest_of(content) != digest:
            raise CorruptContentError(
                f"the registry was asked for {digest} and sent {digest_of(content)}."
            )
        return content

    def has_blob(self, digest: str) -> bool:
        """Whether a blob is there (end-2), as far as somebody may know who may push."""
        path = f"{self.base}/blobs/{digest}"
        with self.connection.request("HEAD", path, self.pushing, expected=(200, 404)) as response:
            return response.status == 200

    def tags(self) -> Iterator[str]:
        """Yield the tags, page after page (end-8a, end-8b).

        Raises:
            NotInRegistryError: There is no such repository.
        """
        path = f"{self.base}/tags/list?{urlencode({'n': _PAGE})}"
        for _ in range(_MOST_PAGES):
            with self.connection.request("GET", path, self.pulling) as response:
                content = response.document(LARGEST_DOCUMENT)
            try:
                yield from msgspec.json.decode(content, type=_Tags).tags or []
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise RegistryError(f"the registry's list of tags is none: {error}") from error
            more = _next_page.search(response.headers.get("Link", ""))
            if more is None:
                return
            path = urljoin(response.url, more[1])
            if not self.connection.owns(path):
                raise RegistryError("the registry's list of tags goes on at another host.")


def _accepting() -> dict[str, str]:
    return {"Accept": ", ".join(sorted(MANIFEST_TYPES | INDEX_TYPES))}


class _Typed(msgspec.Struct, rename="camel"):
    schema_version: int = 0
    media_type: str | None = None


def _media_type(response: Response, content: bytes) -> str:
    """What a manifest is; what it says of itself counts more than what is said of it.

    Raises:
        RegistryError: It is none that can be used; in particular none of Docker's first version.
    """
    try:
        typed = msgspec.json.decode(content, type=_Typed)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RegistryError(f"the registry sent something that is no manifest: {error}") from error
    if typed.schema_version == 1:
        raise RegistryError(
            "the image has a manifest of Docker's schema 1, which has been obsolete since 2017 and "
            "is not supported. Whoever made the image can push it again with a newer Docker."
        )
    said = response.headers.get("Content-Type", "").partition(";")[0].strip()
    media_type = typed.media_type or said
    if media_type not in MANIFEST_TYPES | INDEX_TYPES:
        raise RegistryError(
            f'the registry sent something of type "{media_type}", which is no image'
        )
    return media_type
