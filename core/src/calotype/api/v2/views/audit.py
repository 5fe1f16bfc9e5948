"""The audit records, for administrators: who changed which image."""

from __future__ import annotations

from pyramid.response import Response

from calotype.api.http.filters import read_choice
from calotype.api.http.operations import PAGE, STRING, Operation, json_of
from calotype.api.http.paging import read_limit
from calotype.api.http.request import Request
from calotype.api.http.times import read_query_time
from calotype.api.v2.resources import Audit
from calotype.api.v2.views.documents import bodiless_view, page_response
from calotype.model import policy
from calotype.model.audit import AuditQuery, AuditVerb
from calotype.model.fields import InvalidRequest, canonical_id

#: Maximum number of digits of a record's id.
_ID_DIGITS = 18


@bodiless_view(
    context=Audit,
    method="GET",
    permission=policy.OPERATE,
    operation=Operation(
        {200: json_of("v2.audit")},
        query={
            **PAGE,
            "image": STRING,
            "user": STRING,
            "project": STRING,
            "verb": {"type": "string", "enum": [*AuditVerb]},
            "since": STRING,
        },
    ),
)
def index(context: Audit, request: Request) -> Response:
    """GET /v2/audit: a page of audit records, newest first."""
    page = request.db.audit.page(_read_query(request))
    documents = (({"marker": str(record.id)}, record.to_json()) for record in page.records)
    return page_response(request, "audit", "/v2/audit", documents, more=page.more)


def _read_query(request: Request) -> AuditQuery:
    query = request.GET
    image, marker = query.get("image"), query.get("marker")
    verb = read_choice(query, "verb", (*map(str, AuditVerb),), None)
    for name in ("user", "project"):
        if "\0" in query.get(name, ""):  # PostgreSQL texts cannot contain NUL
            raise InvalidRequest(f"Invalid {name}: control characters are not allowed.")
    if image is not None and canonical_id(image) is None:
        raise InvalidRequest("Invalid image: it is not the id of an image.")
    # The record that the marker names need not exist: its id is a position even after it was removed.
    if marker is not None and not (marker.isascii() and marker.isdigit() and len(marker) <= _ID_DIGITS):
        raise InvalidRequest("Invalid marker: it is not the id of a record.")
    return AuditQuery(
        image_id=None if image is None else canonical_id(image),
        user=query.get("user"),
        project=query.get("project"),
        verb=AuditVerb(verb) if verb else None,
        since=read_query_time("Invalid since", query["since"]) if "since" in query else None,
        limit=read_limit(query, request.settings.list_limit),
        before=None if marker is None else int(marker),
    )
