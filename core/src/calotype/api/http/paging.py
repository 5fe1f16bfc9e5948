"""Where a page of a list ends, as its `next` link says it: the marker, and the values it is sorted by.

With the values a walk goes on although the marker was deleted, or has changed, since the page was read. They
are a position in the list and nothing else: what the list shows is decided as for every other request.
A marker that a client gives by itself, without values, must exist.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

from webob.multidict import MultiDict

from calotype.model.changes import InvalidRequest

VALUES = "marker_values"
#: Characters of the values. A name of 255 characters takes 1,400 with all that a list can be sorted by.
VALUES_MAX = 4096
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_MOMENTS = frozenset({"created_at", "updated_at"})
_INTEGERS = frozenset({"size", "makes_image"})


def link_parameters(marker: str, position: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters of a `next` link: the marker, and the values that the list is sorted by."""
    values = [
        (value - _EPOCH) // _MICROSECOND if isinstance(value, datetime.datetime) else value
        for value in position.values()
    ]
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
    return {"marker": marker, VALUES: base64.urlsafe_b64encode(text).decode().rstrip("=")}


def read_position(query: MultiDict, marker_field: str, fields: Sequence[str]) -> dict[str, Any] | None:
    """Return the values of the sort fields that a `next` link carries, by field.

    None if there are none, or if they belong to another marker than the one that is given.

    Raises:
        InvalidRequest: this service has not written them, or not for a list that is sorted so.
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
    """A value as its column holds it, as far as every database can compare with it."""
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
    return InvalidRequest(f"Invalid {VALUES}: follow the `next` link of a list as it is.")
