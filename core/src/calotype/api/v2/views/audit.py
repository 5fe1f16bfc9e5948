"""The audit trail, for administrators: who changed which image."""

from __future__ import annotations

from pyramid.response import Response
from pyramid.view import view_config

from calotype.api.http.lists import fit
from calotype.api.http.request import Request
from calotype.api.v2.audit import read_listing
from calotype.api.v2.resources import Audit
from calotype.api.v2.views.documents import page_response, without_body
from calotype.model import policy


@view_config(context=Audit, method="GET", permission=policy.OPERATE, decorator=without_body)
def index(context: Audit, request: Request) -> Response:
    """GET /v2/audit: a page of the changes, newest first, and the way to the next."""
    settings = request.settings
    page = request.db.audit.page(read_listing(request, settings.list_limit))
    documents = (({"marker": str(record.id)}, record.to_json()) for record in page.records)
    return page_response(request, "audit", "/v2/audit", fit(documents, settings.list_bytes), more=page.more)
