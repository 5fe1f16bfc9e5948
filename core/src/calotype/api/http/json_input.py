"""JSON documents that clients send: strict, and small enough to be read whole.

Refused besides what is no JSON: documents over a size, a number of values or a depth, keys that come twice,
NaN and its like, and absurd numbers.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from pyramid.httpexceptions import HTTPRequestTimeout
from pyramid.request import Request

from calotype.api.http.body import announces_body
from calotype.model.changes import InvalidRequest, RequestTooLarge

#: Bytes of a document: metadata of an image fits many times.
SIZE_MAX = 1 << 20
#: Values of a document, as its commas and brackets tell: checking each costs a microsecond or more.
VALUES_MAX = 50_000
#: A text, or what follows a quote without an end: it never fails, so that each byte is looked at once.
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
DEPTH_MAX = 20
_INTEGER_MAX = 10**30


def has_document(request: Request) -> bool:
    """Return whether the request carries a body where only a document can be meant, as `request.has_body`."""
    if not announces_body(request):
        return False
    _expect_document(request)
    return request.has_body


def _expect_document(request: Request) -> None:
    """Tell our server, which gives documents less time than uploads, where there is no Content-Type."""
    request.environ.get("calotype_server.expect_document", bool)()


def read_document(request: Request) -> Any:
    """The request's body as a JSON value; the caller is confirmed if the body was long in coming.

    Raises:
        Unauthenticated: the caller's token does not count any more.
        InvalidRequest: it is none, or one that is not taken, or the client went away.
        RequestTooLarge: it is longer than `SIZE_MAX`, or has more values than `VALUES_MAX`.
        HTTPRequestTimeout: the client sends it too slowly.
    """
    if request.content_length is not None and request.content_length > SIZE_MAX:
        raise RequestTooLarge(f"The document is longer than {SIZE_MAX} bytes.")
    _expect_document(request)
    try:
        body = request.environ["wsgi.input"].read(
            SIZE_MAX + 1 if request.content_length is None else request.content_length
        )
    except TimeoutError:
        raise HTTPRequestTimeout("The document came too slowly; send it again.") from None
    except OSError:
        raise InvalidRequest("Client disconnected before sending all data to the server.") from None
    if len(body) > SIZE_MAX:
        raise RequestTooLarge(f"The document is longer than {SIZE_MAX} bytes.")
    request.confirm_caller()
    return parse_document(body)


def parse_document(body: bytes) -> Any:
    """Bytes as a JSON value; raises InvalidRequest."""
    # Commas within texts count only where there are too many: a property may be a document of its own.
    if _signs(body) > VALUES_MAX and _signs(_TEXT.sub(b"", body)) > VALUES_MAX:
        raise RequestTooLarge(f"The document has too many values: at most {VALUES_MAX} are allowed.")
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse_constant)
    except InvalidRequest:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"Malformed JSON: {_problem(body, error)}.") from None
    _check_values(value)
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
        raise InvalidRequest("Malformed JSON: a key comes twice in an object.")
    return result


def _refuse_constant(text: str) -> None:
    raise InvalidRequest(f"Malformed JSON: {text} is not a number.")


def _check_values(value: Any) -> None:
    """Look at each value of a document, level by level; raises InvalidRequest."""
    level = [value]
    for _ in range(DEPTH_MAX):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below.extend(one.values())
            elif isinstance(one, list):
                below.extend(one)
            elif isinstance(one, int) and not -_INTEGER_MAX < one < _INTEGER_MAX:
                raise InvalidRequest("Malformed JSON: a number has too many digits.")
            elif isinstance(one, float) and math.isinf(one):
                raise InvalidRequest("Malformed JSON: a number is too large.")
        if not below:
            return
        level = below
    raise InvalidRequest("The JSON document is nested too deeply.")
