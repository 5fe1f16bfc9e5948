"""The pages for operators: each answers one of the questions that they are asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.response import Response
from pyramid.view import view_config

from calotype.api.http.paging import link
from calotype.api.http.request import Request
from calotype.model import policy
from calotype.model.audit import AuditQuery
from calotype.model.fields import InvalidRequest
from calotype.model.overviews import Position
from calotype.operations.failures import failures
from calotype.operations.pending import pending_removals
from calotype.operations.processes import serving_processes
from calotype.operations.stores import store_states
from calotype.operations.transfers import running_transfers
from calotype.operations.usage import project_limits, project_usage, unused_images
from calotype_console.pages import page
from calotype_console.resources import Operations

#: Number of records on a page.
_LIMIT = 50
_DAYS = 90


@view_config(context=Operations, method="GET", permission=policy.OPERATE)
def overview(context: Operations, request: Request) -> Response:
    """GET /console/operations: the stores, the processes, and what runs and failed last."""
    return page(
        request,
        "operations",
        stores=store_states(request.db, request.stores, request.parts.probes),
        off=request.stores.off,
        processes=serving_processes(request.db),
        transfers=running_transfers(request.db, request.settings, 10),
        failures=failures(request.db, 10),
    )


@view_config(context=Operations, name="transfers", method="GET", permission=policy.OPERATE)
def transfers(context: Operations, request: Request) -> Response:
    """GET /console/operations/transfers: who uploads now, and how fast."""
    return _paged(
        request, "transfers", lambda after: running_transfers(request.db, request.settings, _LIMIT, after)
    )


@view_config(context=Operations, name="failures", method="GET", permission=policy.OPERATE)
def failed(context: Operations, request: Request) -> Response:
    """GET /console/operations/failures: what failed, and why."""
    return _paged(request, "failures", lambda after: failures(request.db, _LIMIT, after))


@view_config(context=Operations, name="pending", method="GET", permission=policy.OPERATE)
def pending(context: Operations, request: Request) -> Response:
    """GET /console/operations/pending: what will be swept, and when."""
    return _paged(request, "pending", lambda after: pending_removals(request.db, _LIMIT, after))


@view_config(context=Operations, name="unused", method="GET", permission=policy.OPERATE)
def unused(context: Operations, request: Request) -> Response:
    """GET /console/operations/unused: the images that nobody has downloaded for 90 days."""
    found = unused_images(request.db, _DAYS, _LIMIT, _position(request))
    return page(
        request,
        "unused",
        records=found.page.records,
        next_page=_next(request, found.page),
        since=found.counted_since,
        days=_DAYS,
    )


@view_config(context=Operations, name="usage", method="GET", permission=policy.OPERATE)
def usage(context: Operations, request: Request) -> Response:
    """GET /console/operations/usage: who uses how much."""
    text = request.GET.get("skip", "0")
    skip = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    found = project_usage(request.db, _LIMIT, skip)
    following = link(request.path, [("skip", str(skip + _LIMIT))]) if found.more else ""
    limits = project_limits(request.settings)
    return page(request, "usage", records=found.records, next_page=following, limits=limits)


@view_config(context=Operations, name="audit", method="GET", permission=policy.OPERATE)
def audit(context: Operations, request: Request) -> Response:
    """GET /console/operations/audit: who changed which image."""
    text = request.GET.get("before", "")
    before = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
    found = request.db.audit.page(AuditQuery(limit=_LIMIT, before=before))
    last = found.records[-1].id if found.records else None
    following = link(request.path, [("before", str(last))]) if found.more else ""
    return page(request, "audit", records=found.records, next_page=following)


def _paged(request: Request, template: str, read: Callable[[Position | None], Any]) -> Response:
    found = read(_position(request))
    return page(request, template, records=found.records, next_page=_next(request, found))


def _position(request: Request) -> Position | None:
    text = request.GET.get("after")
    try:
        return None if text is None else Position.parse(text)
    except ValueError:
        raise InvalidRequest("The page is gone: begin with the first one.") from None


def _next(request: Request, found: Any) -> str:
    if not found.more or not found.records:
        return ""
    return link(request.path, [("after", str(found.records[-1].position))])
