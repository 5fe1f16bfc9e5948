"""Pages of lists: their size, their beginning, and the link to the next page.

A `next` link has a marker, which is the id of an entry, and the values that the list is sorted by. With the
values, the next page can be read even if that entry has since been deleted or changed. The values are only a
position in the list, and grant no rights. If a request has a marker without values, the entry must exist.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from webob.multidict import MultiDict

from calotype.api.http.request import Request
from calotype.config.messages import quoted
from calotype.database.pages import ImagePage
from calotype.database.queries import position
from calotype.model.fields import InvalidRequest
from calotype.model.queries import SortKey

VALUES = "marker_values"
#: Maximum length of the encoded values, in characters. The values of all sort fields, with a name of 255
#: characters, need 1,400.
VALUES_MAX = 4096
#: Number of entries on a page if the client gives no limit.
DEFAULT_LIMIT = 25
#: Two messages of classic and v1. The second is only the beginning of a sentence.
NO_MARKER = "Invalid marker. Image could not be found."
LIMIT_RULE = "limit param must be an integer, and positive"
_LIMIT_DIGITS = 18
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_MOMENTS = frozenset({"created_at", "updated_at"})
_INTEGERS = frozenset({"size", "makes_image"})


def read_limit(
    query: MultiDict,
    most: int,
    *,
    default: int = DEFAULT_LIMIT,
    rule: str = "Invalid limit: it must be an integer of at least 0",
) -> int:
    """Return the number of entries of a page, at most `most`.

    Raises:
        InvalidRequest: the limit is not an integer of at least 0. The message begins with `rule`.
    """
    text = query.get("limit", str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= _LIMIT_DIGITS):
        raise InvalidRequest(f"{rule}, not {quoted(text)}.")
    return min(int(text), most)


def read_marker(
    query: MultiDict,
    fields: Sequence[str],
    find: Callable[[str], Mapping[str, Any] | None],
    missing: str,
) -> Mapping[str, Any] | None:
    """Return the position after which the page begins, or None for the first page.

    Args:
        fields: the fields that the list is sorted by, including `id`.
        find: returns the position of the entry with this marker, or None.
        missing: the message if there is no such entry.

    Raises:
        InvalidRequest: there is no such entry, or the values do not come from a link of this service.
    """
    marker = query.get("marker")
    if marker is None:
        return None
    found = read_position(query, "id", fields) or find(marker)
    if found is None:
        raise InvalidRequest(missing)
    return found


def read_image_marker(
    request: Request, sort: Sequence[SortKey], missing: str, *, deleted: bool = False
) -> Mapping[str, Any] | None:
    """Return the position of the image that the marker names, or None for the first page.

    Args:
        deleted: true if the marker can name a deleted image.
    """

    def find(text: str) -> Mapping[str, Any] | None:
        image = request.visible_image(text, deleted=deleted)
        return None if image is None else position(image, sort)

    return read_marker(request.GET, [key.field for key in sort], find, missing)


def next_of_page(request: Request, page: ImagePage, limit: int) -> dict[str, str]:
    """Return the link to the next page of images under `next`, or nothing on the last page."""
    if not page.more or page.last is None:
        return {}
    following = link_parameters(page.last["id"], page.last)
    query = kept_parameters(request, "limit", "marker", VALUES)
    return {"next": link(request.path, [*query, ("limit", str(limit)), *following.items()])}


def kept_parameters(request: Request, *dropped: str) -> list[tuple[str, str]]:
    """Return the parameters of the query without the dropped ones."""
    return [(name, value) for name, value in request.GET.items() if name not in dropped]


def link(path: str, query: Iterable[tuple[str, str]]) -> str:
    """Return the path with these parameters as its query."""
    text = urlencode([*query])
    return f"{path}?{text}" if text else path


def link_parameters(marker: str, position: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters of a `next` link: the marker and the values of the sort fields."""
    values = [
        (value - _EPOCH) // _MICROSECOND if isinstance(value, datetime.datetime) else value
        for value in position.values()
    ]
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
    return {"marker": marker, VALUES: base64.urlsafe_b64encode(text).decode().rstrip("=")}


def read_position(query: MultiDict, marker_field: str, fields: Sequence[str]) -> dict[str, Any] | None:
    """Return the values of the sort fields in a `next` link, by field.

    Return None if the query has no values, or if they belong to a different marker.

    Raises:
        InvalidRequest: the values do not come from a link of this service, or belong to another sort order.
    """
    text = query.get(VALUES)
    if text is None or "marker" not in query:
        return None
    values = _decoded(text)
    if len(values) != len(fields):
        raise _invalid()
    position = {name: _value(name, value) for name, value in zip(fields, values, strict=True)}
    return position if position.get(marker_field) == query["marker"] else None


def _decoded(text: str) -> list[Any]:
    try:
        if len(text) > VALUES_MAX or not text.isascii():
            raise ValueError
        padded = text + "=" * (-len(text) % 4)
        values = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True).decode())
    except (ValueError, RecursionError, binascii.Error):
        raise _invalid() from None
    if not isinstance(values, list):
        raise _invalid()
    return values


def _value(name: str, value: Any) -> Any:
    """Return a value in the type of its column; raises InvalidRequest if it does not have that type."""
    number = type(value) is int and -(2**63) <= value < 2**63
    if name in _INTEGERS and number:
        return value
    if name in _MOMENTS and number:
        try:
            return _EPOCH + value * _MICROSECOND
        except OverflowError:
            raise _invalid() from None
    plain = isinstance(value, str) and "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)
    if name in _INTEGERS | _MOMENTS or not plain:
        raise _invalid()
    return value


def _invalid() -> InvalidRequest:
    return InvalidRequest(f"Invalid {VALUES}: follow the `next` link of a list unchanged.")
