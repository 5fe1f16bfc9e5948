"""Responses with lists, which need little memory even if the records are large.

A page of v2 can be shorter than requested, because clients of v2 follow `next`. Clients of classic and v1
treat a shorter page as the last one. Their pages are therefore never cut, but streamed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyramid.response import Response

from calotype.api.http.paging import next_of_page
from calotype.api.http.request import Request
from calotype.database.pages import AT_ONCE
from calotype.model.images import Image
from calotype.model.queries import ImageQuery
from calotype.stores.bulkhead import STAND_IN, StandIn

#: The encoder is shared, because `json.dumps` creates a new one for each call with `ensure_ascii=False`.
_encode = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Fitting:
    """The documents at the beginning of a page that fit into a response, as JSON in UTF-8.

    `last` has the parameters of the link to the entries after these documents. `cut` is true if some
    documents of the page did not fit.
    """

    texts: Sequence[bytes]
    last: Mapping[str, str] | None
    cut: bool


def fit(documents: Iterable[tuple[Mapping[str, str], Any]], room: int) -> Fitting:
    """Return as many of the first documents as fit into `room` bytes, but at least one if there are any.

    Args:
        documents: pairs of link parameters and a document. The link leads to the entries after the document.
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
    """Return a response with a JSON object: the list under the key `name`, and the entries of `rest`."""
    body = b"".join([_beginning(name), b", ".join(texts), _end(rest)])
    return Response(body, content_type="application/json", charset="UTF-8")


def stream_images(
    request: Request, query: ImageQuery, form: Callable[[Image], Any], *, whole: bool, **rest: Any
) -> Response:
    """Return a response with the images of a query under `images`, a link to the next page, and `rest`.

    The first images are read before the response begins, so an error at this point still gets its own
    response. Further images are read while the response is sent. An error then closes the connection before
    the end of the document.

    Args:
        whole: true if `form` needs data that the table of images does not contain, such as properties.
    """
    page = request.db.page(query, whole=whole)
    pieces = _pieces(iter(page), form, {**rest, **next_of_page(request, page, query.limit)})
    response = Response(content_type="application/json")
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
    """Return the end of a list and of its object, with the keys of `rest`."""
    text = _encode(rest).encode()[1:]
    return b"]" + (b", " + text if rest else text)
