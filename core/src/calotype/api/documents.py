"""JSON documents that clients send: strict, and small enough to be read whole.

Refused besides what is no JSON: documents over a size or a depth, keys that come twice,
NaN and its like, numbers of absurd length, and text that no database could keep.
"""

from __future__ import annotations

import json
from typing import Any

from pyramid.httpexceptions import HTTPRequestTimeout
from pyramid.request import Request

from calotype.draft import DraftTooLarge, InvalidDraft

#: Bytes of a document: metadata of an image fits many times.
SIZE_MAX = 1 << 20
_DEPTH_MAX = 20
_DIGITS_MAX = 30


def read_document(request: Request) -> Any:
    """The request's body as a JSON value.

    Raises:
        InvalidDraft: it is none, or one that is not taken, or the client went away.
        DraftTooLarge: it is longer than `SIZE_MAX`.
        HTTPRequestTimeout: the client sends it too slowly.
    """
    if request.content_length is not None and request.content_length > SIZE_MAX:
        raise DraftTooLarge(f"The document is longer than {SIZE_MAX} bytes.")
    # Our server gives documents less time than uploads. Where there is no Content-Type, it has to be told.
    request.environ.get("calotype.document", bool)()
    try:
        body = request.environ["wsgi.input"].read(
            SIZE_MAX + 1 if request.content_length is None else request.content_length
        )
    except TimeoutError:
        raise HTTPRequestTimeout("The document came too slowly; send it again.") from None
    except OSError:
        raise InvalidDraft("Client disconnected before sending all data to the server.") from None
    if len(body) > SIZE_MAX:
        raise DraftTooLarge(f"The document is longer than {SIZE_MAX} bytes.")
    return parse_document(body)


def parse_document(body: bytes) -> Any:
    """Bytes as a JSON value; raises InvalidDraft."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_number,
        )
    except InvalidDraft:
        raise
    except (ValueError, RecursionError):
        raise InvalidDraft("Malformed JSON: the body is not a JSON document in UTF-8.") from None
    _check_depth(value, _DEPTH_MAX)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise InvalidDraft("Malformed JSON: a key comes twice in an object.")
    return result


def _refuse_constant(text: str) -> None:
    raise InvalidDraft(f"Malformed JSON: {text} is not a number.")


def _integer(text: str) -> int:
    if len(text) > _DIGITS_MAX:
        raise InvalidDraft("Malformed JSON: a number has too many digits.")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise InvalidDraft("Malformed JSON: a number is too large.")
    return value


def _check_depth(value: Any, left: int) -> None:
    if left == 0:
        raise InvalidDraft("The JSON document is nested too deeply.")
    if isinstance(value, dict):
        for item in value.values():
            _check_depth(item, left - 1)
    elif isinstance(value, list):
        for item in value:
            _check_depth(item, left - 1)
