"""Responses with lists, which take little memory however large their images are.

A page of v2 may end early, because its clients follow `next`. Clients of classic and v1 take a page that is
shorter than requested for the last one, so theirs are streamed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyramid.response import Response

from calotype.database.pages import AT_ONCE, Page
from calotype.model.images import Image
from calotype.stores.bulkhead import STAND_IN, StandIn

#: Made once, because `json.dumps` makes a new encoder for each document with `ensure_ascii=False`.
_encode = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Fitting:
    """The first documents of a page, as JSON in UTF-8.

    `last` has the parameters of a link to what follows them; `cut` is set if more documents had no room.
    """

    texts: Sequence[bytes]
    last: Mapping[str, str] | None
    cut: bool


def fit(documents: Iterable[tuple[Mapping[str, str], Any]], room: int) -> Fitting:
    """Take documents until they have `room` bytes; at least one, if there is one.

    Each comes with the parameters of a link to what follows it.
    """
    texts: list[bytes] = []
    last, size = None, 0
    for parameters, document in documents:
        text = _encode(document).encode()
        size += len(text)
        if texts and size > room:
            return Fitting(texts, last, cut=True)
        texts.append(text)
        last = parameters
    return Fitting(texts, last, cut=False)


def list_response(name: str, texts: Sequence[bytes], rest: Mapping[str, Any]) -> Response:
    """Answer with an object: the list under its name, and the rest beside it."""
    body = b"".join([_beginning(name), b", ".join(texts), _end(rest)])
    return Response(body, content_type="application/json", charset="UTF-8")


def stream_images(
    page: Page, form: Callable[[Image], Any], rest: Mapping[str, Any], status: int = 200
) -> Response:
    """Answer with an object: a page's images under `images`, read as they are sent, and the rest beside them.

    The first images are read at once: what goes wrong there still has an answer of its own. What goes wrong
    later ends the connection before the document's end.
    """
    pieces = _pieces(iter(page), form, rest)
    response = Response(status=status, content_type="application/json")
    if len(page) <= AT_ONCE:
        response.body = b"".join(pieces)
    else:
        response.app_iter = _streamed(next(pieces), pieces, STAND_IN.get())
    return response


def _pieces(
    slices: Iterator[list[Image]], form: Callable[[Image], Any], rest: Mapping[str, Any]
) -> Iterator[bytes]:
    separator = b""
    for images in slices:
        text = ", ".join(json.dumps(form(image)) for image in images).encode()
        yield (separator or _beginning("images")) + text
        separator = b", "
    yield (b"" if separator else _beginning("images")) + _end(rest)


def _streamed(first: bytes, others: Iterator[bytes], release_worker: StandIn) -> Iterator[bytes]:
    with release_worker():
        yield first
        yield from others


def _beginning(name: str) -> bytes:
    return b'{"%b": [' % name.encode()


def _end(rest: Mapping[str, Any]) -> bytes:
    """The end of a list and, behind it, the rest of its object."""
    text = _encode(rest).encode()[1:]
    return b"]" + (b", " + text if rest else text)
