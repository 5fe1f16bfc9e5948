"""The query string of `GET /v2/audit` as a listing of audit records."""

from __future__ import annotations

from calotype.api.http.paging import read_limit
from calotype.api.http.request import Request
from calotype.api.http.times import read_query_time
from calotype.api.v2.listing import read_choice
from calotype.model.audit import AuditQuery, AuditVerb
from calotype.model.changes import InvalidRequest, canonical_id

#: Digits of a record's id.
_ID_DIGITS = 18


def read_listing(request: Request, most: int) -> AuditQuery:
    """Return what the request asks for; at most `most` records a page.

    Raises:
        InvalidRequest: a parameter cannot be read.
    """
    query = request.GET
    verb = read_choice(query, "verb", tuple(map(str, AuditVerb)), None)
    for name in ("user", "project"):
        if "\0" in query.get(name, ""):  # PostgreSQL compares no text with one
            raise InvalidRequest(f"Invalid {name}: control characters are not allowed.")
    return AuditQuery(
        image_id=_image(query.get("image")),
        user=query.get("user"),
        project=query.get("project"),
        verb=AuditVerb(verb) if verb else None,
        since=read_query_time("Invalid since", query["since"]) if "since" in query else None,
        limit=read_limit(query, most),
        before=_marker(query.get("marker")),
    )


def _image(text: str | None) -> str | None:
    if text is not None and canonical_id(text) is None:
        raise InvalidRequest("Invalid image: it is not the id of an image.")
    return None if text is None else canonical_id(text)


def _marker(text: str | None) -> int | None:
    """A record's id is a position: the record itself may have been removed since."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS):
        raise InvalidRequest("Invalid marker: it is not the id of a record.")
    return int(text)
