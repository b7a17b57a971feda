"""A document that the engine wrote, shown as a tree that folds, or as indented text."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["Document"]


class Document:
    """A JSON document; indexing it reaches inside.

    Attributes:
        data: The document, of dictionaries and lists.
    """

    def __init__(self, data: Any) -> None:
        self.data = data

    def __getitem__(self, key: Any) -> Any:
        return self.data[key]

    def __repr__(self) -> str:
        return json.dumps(self.data, indent=2, ensure_ascii=False)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/plain": repr(self), "application/json": self.data}
