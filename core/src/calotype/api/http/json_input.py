"""Read JSON documents, strictly.

Documents that are too large, have too many values or are nested too deeply are refused, and so are duplicate
keys, NaN, infinity and numbers of more than 30 digits.
"""

from __future__ import annotations

import json
import math
import re
from itertools import chain
from typing import Any

from pyramid.httpexceptions import HTTPRequestTimeout

from calotype.api.http.request import Request
from calotype.api.http.uploads import DISCONNECTED, require_plain
from calotype.model.fields import InvalidRequest, RequestTooLarge

#: Maximum size of a document in bytes. An image's metadata is far smaller.
SIZE_MAX = 1 << 20
#: Maximum number of values in a document, counted by its commas and opening brackets. Checking a value takes
#: a microsecond or more.
VALUES_MAX = 50_000
#: A JSON string, with or without its closing quote. The pattern never backtracks, so it reads each byte once.
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
DEPTH_MAX = 20
_DIGITS_MAX = 30


def has_document(request: Request) -> bool:
    """Return whether the request has a body, which must be a JSON document."""
    if not request.announces_body:
        return False
    _expect_document(request)
    return request.has_body


def _expect_document(request: Request) -> None:
    """Ask Calotype's server for the timeout of documents, which is shorter than that of uploads."""
    request.environ.get("calotype_server.expect_document", bool)()


def read_document(request: Request) -> Any:
    """Return the request's body as a JSON value, and confirm the caller once the body has arrived.

    Raises:
        Unauthenticated: the token is no longer valid.
        InvalidRequest: the body is not JSON, or breaks a rule of this module.
        RequestTooLarge: it has more values than `VALUES_MAX`.
        Exception: as `read_short_body`.
    """
    body = read_short_body(request)
    request.confirm_caller()
    return parse_document(body)


def read_short_body(request: Request) -> bytes:
    """Return the body of a request that is not an image's bytes.

    Raises:
        InvalidRequest: the client disconnected.
        RequestTooLarge: the body is longer than `SIZE_MAX`.
        HTTPRequestTimeout: the client sends the body too slowly.
        HTTPUnsupportedMediaType: the body has a Content-Encoding.
    """
    if request.content_length is not None and request.content_length > SIZE_MAX:
        raise RequestTooLarge(f"The document is longer than {SIZE_MAX} bytes.")
    require_plain(request)
    _expect_document(request)
    try:
        body: bytes = request.environ["wsgi.input"].read(
            SIZE_MAX + 1 if request.content_length is None else request.content_length
        )
    except TimeoutError:
        raise HTTPRequestTimeout("The document arrived too slowly; send it again.") from None
    except OSError:
        raise InvalidRequest(DISCONNECTED) from None
    if len(body) > SIZE_MAX:
        raise RequestTooLarge(f"The document is longer than {SIZE_MAX} bytes.")
    return body


def parse_document(body: bytes) -> Any:
    """Parse bytes as a JSON value; raises InvalidRequest, RequestTooLarge."""
    # Remove the strings only if the first count is too high, because that takes time.
    if _signs(body) > VALUES_MAX and _signs(_TEXT.sub(b"", body)) > VALUES_MAX:
        raise RequestTooLarge(f"The document has too many values: at most {VALUES_MAX} are allowed.")
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_refuse_constant,
        )
    except InvalidRequest:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"Malformed JSON: {_problem(body, error)}.") from None
    _check_depth(value)
    return value


def _problem(body: bytes, error: Exception) -> str:
    if not body.strip():
        return "the body is empty, and must be a JSON document"
    problem = "the body is not a JSON document in UTF-8"
    if isinstance(error, json.JSONDecodeError):
        return f"{problem}: {error.msg} (line {error.lineno}, column {error.colno})"
    return problem


def _signs(body: bytes) -> int:
    return sum(map(body.count, (b",", b"[", b"{")))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise InvalidRequest("Malformed JSON: a key occurs twice in an object.")
    return result


def _refuse_constant(text: str) -> None:
    raise InvalidRequest(f"Malformed JSON: {text} is not a number.")


def _integer(text: str) -> int:
    if len(text.removeprefix("-")) > _DIGITS_MAX:
        raise InvalidRequest("Malformed JSON: a number has too many digits.")
    return int(text)


def _float(text: str) -> float:
    if math.isinf(number := float(text)):
        raise InvalidRequest("Malformed JSON: a number is too large.")
    return number


def _check_depth(value: Any) -> None:
    """Check that arrays and objects are nested at most `DEPTH_MAX` deep; raises InvalidRequest."""
    level = [value]
    for _ in range(DEPTH_MAX):
        objects = [one.values() for one in level if isinstance(one, dict)]
        level = [*chain.from_iterable([*objects, *(one for one in level if isinstance(one, list))])]
        if not level:
            return
    raise InvalidRequest("The JSON document is nested too deeply.")
