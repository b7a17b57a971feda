"""All containers of an engine, by id, by name and by the beginning of an id."""

from __future__ import annotations

from collections.abc import Iterator

from cellcrate_runtime.engine.container import Container
from cellcrate_runtime.engine.errors import (
    AmbiguousIDError,
    BadRequestError,
    ConflictError,
    ContainerNotFoundError,
)

__all__ = ["Registry"]


class Registry:
    """The containers that exist, and the names that are taken."""

    def __init__(self) -> None:
        self._by_id: dict[str, Container] = {}
        self._id_by_name: dict[str, str] = {}

    def __iter__(self) -> Iterator[Container]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, reference: str) -> Container:
        """Return the container with this id, name, or beginning of an id, in that order.

        Raises:
            ContainerNotFoundError: There is none.
            AmbiguousIDError: Several ids begin so.
        """
        if not reference:
            raise BadRequestError(f'invalid container name or ID: value is empty "{reference}"')
        if container := self._by_id.get(reference):
            return container
        named = self._id_by_name.get(reference.removeprefix("/"), "")
        if container := self._by_id.get(named):
            return container
        matches = [item for key, item in self._by_id.items() if key.startswith(reference)]
        if len(matches) > 1:
            raise AmbiguousIDError(reference)
        if not matches:
            raise ContainerNotFoundError(reference)
        return matches[0]

    def has_name(self, name: str) -> bool:
        """Whether a name is taken."""
        return name in self._id_by_name

    def reserve(self, name: str, container_id: str) -> None:
        """Take a name, before anything is created.

        Raises:
            ConflictError: Another container has it.
        """
        holder = self._id_by_name.get(name)
        if holder is not None and holder != container_id:
            raise ConflictError(
                f'Conflict. The container name "/{name}" is already in use by container '
                f'"{holder}". You have to remove (or rename) that container to be able to reuse '
                "that name."
            )
        self._id_by_name[name] = container_id

    def release(self, name: str) -> None:
        """Give a name back."""
        self._id_by_name.pop(name, None)

    def add(self, container: Container) -> None:
        """Add a container whose name is reserved."""
        self._id_by_name[container.name] = container.id
        self._by_id[container.id] = container

    def remove(self, container: Container) -> None:
        """Forget a container and its name."""
        self._by_id.pop(container.id, None)
        if self._id_by_name.get(container.name) == container.id:
            self.release(container.name)
