"""Layers, asked for from Cellcrate's own engine, which has them unpacked."""

from __future__ import annotations

from typing import Any

from cellcrate.cells.link import Link
from cellcrate.errors import EngineError
from cellcrate.http import checked, image_url
from cellcrate.images.contents.model import Entry, Layer, Step, readable

__all__ = ["ServedContents"]

NOT_FOUND = 404


class ServedContents:
    """One image's layers, by ``GET /images/{name}/layers`` and what is below it."""

    def __init__(self, link: Link, image: str) -> None:
        self._link = link
        self._image = image

    def steps(self) -> list[Step]:
        """Return the steps, the oldest first, with their layers."""
        return [_step(each) for each in self._get("layers").json()["Steps"]]

    def listing(self, diff_id: str, path: str) -> list[Entry]:
        """Return what a layer has in a folder, folders first; nothing where it has none."""
        try:
            answer = self._get(f"layers/{diff_id}/files", path=path).json()
        except EngineError as error:
            if error.status == NOT_FOUND:
                return []
            raise
        return [Entry(**{key.lower(): value for key, value in each.items()}) for each in answer]

    def content(self, diff_id: str, path: str, limit: int) -> tuple[bytes, int]:
        """Return the first bytes of a file, and how many it has."""
        answer = self._get(f"layers/{diff_id}/content", path=path, limit=limit)
        return answer.content, int(answer.headers["X-Cellcrate-Size"])

    def _get(self, what: str, **parameters: Any) -> Any:
        def ask(api: Any) -> Any:
            url = image_url(api, self._image, what)
            return checked(api.get(url, params=parameters, timeout=api.timeout))

        return self._link.ask(ask)


def _step(document: dict[str, Any]) -> Step:
    layer = _layer(document["Layer"]) if "Layer" in document else None
    return Step(
        instruction=readable(document["CreatedBy"] or document["Comment"]),
        created=document["Created"],
        size=layer.size if layer else 0,
        layer=layer,
        has_layer=layer is not None,
    )


def _layer(document: dict[str, Any]) -> Layer:
    return Layer(
        diff_id=document["DiffId"],
        size=document["Size"],
        added=document["Added"],
        changed=document["Changed"],
        removed=document["Removed"],
        biggest=tuple((each["Path"], each["Size"]) for each in document["Biggest"]),
        shared_with=tuple(document["SharedWith"]),
    )
