"""/healthz and /healthcheck (the process is alive), /readyz (it can serve), and /metrics.

None of them needs a token. /metrics exists only if the settings enable it. If `calotype.admin_listen` is set,
/metrics exists only at that address. A store that fails does not make the process unready, because requests
that do not use the store still work. /readyz reports the last results of `calotype.transfers.probes`. For
administrators, it also reports the running processes, which it reads from the database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyramid.config import Configurator
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from calotype.api.http.operations import STRING, TEXT, Content, Operation, json_of, properties
from calotype.api.http.request import Parts, Request
from calotype.api.http.resources import AdminRoot, Root
from calotype.api.http.times import whole_seconds
from calotype.config.settings import Settings
from calotype.database.errors import DatabaseError
from calotype.identity.security import Unauthenticated
from calotype.identity.token_file import TokensUnreadable
from calotype.model import policy
from calotype.transfers.probes import ProbeState

_OK = {200: TEXT}
_STATES = json_of(properties(database=STRING, stores={"type": "object", "additionalProperties": STRING}))
_READY = {200: _STATES, 503: _STATES}


def healthz(context: Root | AdminRoot, request: Request) -> Response:
    """GET /healthz: 200, because the process is alive."""
    return Response("ok\n", content_type="text/plain", charset="utf-8")


def healthcheck(context: Root | AdminRoot, request: Request) -> Response:
    """GET /healthcheck: 200, as oslo.middleware answers OpenStack's load balancers at this path."""
    return Response("OK", content_type="text/plain", charset="utf-8")


def readyz(context: Root | AdminRoot, request: Request) -> dict[str, Any]:
    """GET /readyz: the state of the database and of each store.

    A state is "ok", "full", "busy", "unavailable", or "unknown".

    The status is 503 unless the database is "ok". While the database is "full", no image can be created. The
    status is also 503 until each store has been probed once, which takes at most `calotype.probe_timeout`
    seconds.
    """
    probes = request.parts.probes
    database = probes.database.state
    stores = {store.name: probes.stores[store.name].state for store in request.stores}
    if database is not ProbeState.OK or ProbeState.UNKNOWN in stores.values():
        request.response.status_int = 503
        request.response.headers["Retry-After"] = "5"
    processes = _processes(request) if database is ProbeState.OK else {}
    return {"database": database, "stores": stores, **processes}


def metrics(context: Root | AdminRoot, request: Request) -> Response:
    """GET /metrics: the counters of the service, and gauges that are read from the database each time."""
    collected = request.parts.metrics
    return Response(body=collected.render(), headers={"Content-Type": collected.content_type})


def _processes(request: Request) -> dict[str, Any]:
    """Return the running processes if the caller is an administrator, otherwise an empty dict."""
    try:
        if not policy.sees_processes(request.caller):
            return {}
        found = request.db.processes.all()
    except (Unauthenticated, TokensUnreadable, DatabaseError):
        return {}
    return {
        "processes": [
            {
                "host": one.host,
                "pid": one.pid,
                "version": one.version,
                "started": whole_seconds(one.started_at),
                "last_seen": whole_seconds(one.seen_at),
            }
            for one in found
        ]
    }


def includeme(config: Configurator) -> None:
    """Add the health views to both roots, and the metrics to the root that the settings choose."""
    settings: Settings = Parts.of(config.registry).settings
    for root in (Root, AdminRoot):
        for view, answers in ((healthz, _OK), (healthcheck, _OK), (readyz, _READY)):
            _add(config, view, root, answers)
    if settings.metrics:
        _add(config, metrics, AdminRoot if settings.admin_listen else Root, _OK)


def _add(config: Configurator, view: Callable[..., Any], root: type, answers: Mapping[int, Content]) -> None:
    config.add_view(
        view,
        context=root,
        name=view.__name__,
        method="GET",
        renderer="json",
        permission=NO_PERMISSION_REQUIRED,
        operation=Operation(answers),
    )
