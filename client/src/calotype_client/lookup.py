"""Find an image by its id, its name, or the beginning of its id."""

from __future__ import annotations

import contextlib
import difflib
import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from calotype_client.errors import Ambiguous, NotFound
from calotype_client.images import Image

#: The shortest beginning of an id that is looked for.
_PREFIX = re.compile(r"[0-9a-f]{4}[0-9a-f-]{0,32}", re.I)
#: Names that Images v2 would take for an operator with a value.
_OPERATOR = re.compile(r"(in|eq|neq|gt|gte|lt|lte):")
#: Where images are looked for: in lists, among hidden ones, and among those that were offered to the caller.
_PLACES: tuple[dict[str, Any], ...] = (
    {},
    {"os_hidden": "true"},
    {"member_status": "pending", "visibility": "shared"},
)
#: Candidates that an error lists, and images among which a similar name is looked for.
_LISTED, _SIMILAR = 10, 200


class Catalogue(Protocol):
    """The part of a client that finds images."""

    def images(self, *, limit: int | None = None, **filters: object) -> Iterator[Image]:
        """Yield images."""
        ...

    def show(self, image: Image | str, **query: object) -> Image:
        """Return the image with this id."""
        ...


def find_image(catalogue: Catalogue, reference: str) -> Image:
    """Return the image with this id, name, or beginning of an id; hidden and offered images come last.

    Raises:
        NotFound: there is no such image.
        Ambiguous: several images have this name, or an id that begins so.
    """
    if _is_id(reference):
        with contextlib.suppress(NotFound):  # it may also be a name
            return catalogue.show(reference.lower())
    for filters in _PLACES:
        if found := list(named(catalogue, reference, filters)):
            return _only(found, reference)
        if _PREFIX.fullmatch(reference):
            prefix = reference.lower()
            begun = [image for image in catalogue.images(**filters) if image.id.startswith(prefix)]
            if begun:
                return _only(begun, reference)
    raise NotFound(f"There is no image {reference!r}.", advice=_similar(catalogue, reference))


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def named(catalogue: Catalogue, name: str, filters: dict[str, Any]) -> Iterator[Image]:
    """Yield the images with this name, among those that the filters select."""
    wanted = None if _OPERATOR.match(name) else name
    return (image for image in catalogue.images(name=wanted, **filters) if image.name == name)


def _only(found: Sequence[Image], reference: str) -> Image:
    if len(found) == 1:
        return found[0]
    lines = [
        f"  {image.id}  {image.document.get('created_at', '')}  {image.status}  {image.name or '-'}"
        for image in found[:_LISTED]
    ]
    if len(found) > _LISTED:
        lines.append(f"  and {len(found) - _LISTED} more")
    raise Ambiguous(
        "\n".join([f"{len(found)} images match {reference!r}:", *lines]),
        advice="Name one by the first characters of its id.",
    )


def _similar(catalogue: Catalogue, reference: str) -> str:
    names = [image.name for image in catalogue.images(limit=_SIMILAR) if image.name]
    similar = difflib.get_close_matches(reference, names, n=1)
    return f"Did you mean {similar[0]!r}?" if similar else "`calotype ls` lists the images."
