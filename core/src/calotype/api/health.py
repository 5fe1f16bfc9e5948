"""What watchers ask: /healthz (the process lives), /readyz (it can serve), /metrics (for Prometheus).

None of them asks for a token; /metrics is there only when the settings say so. Readiness
is the database's: one store that is away degrades what needs it, and nothing else.
Neither the database nor a store is asked here: the answer is what `calotype.probes` last saw.
"""

from __future__ import annotations

import datetime
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from calotype.metrics import Metrics
from calotype.probes import Probes, ProbeState
from calotype.registry import RegistryError
from calotype.resources import Root
from calotype.security import Unauthenticated
from calotype.tokens import TokensUnreadable


def healthz(context: Root, request: Request) -> Response:
    """The process answers."""
    return Response("ok\n", content_type="text/plain", charset="utf-8")


def readyz(context: Root, request: Request) -> dict[str, Any]:
    """Return the state of the database and of each store: "ok", "full", "unavailable", or "unknown" at first.

    503 unless the database is ok: without room it takes no image, though it lets images be read and deleted.
    503 too while a store was not seen yet, which is so for `calotype.probe_timeout` seconds at most.
    """
    probes: Probes = request.registry["calotype.probes"]
    database = probes.database.state
    stores = {store.name: probes.stores[store.name].state for store in request.stores}
    if database is not ProbeState.OK or ProbeState.UNKNOWN in stores.values():
        request.response.status_int = 503
        request.response.headers["Retry-After"] = "5"
    processes = _processes(request) if database is ProbeState.OK else {}
    return {"database": database, "stores": stores, **processes}


def metrics(context: Root, request: Request) -> Response:
    """Counters of this process, and gauges read from the registry now."""
    if not request.registry["calotype.settings"].metrics:
        raise HTTPNotFound
    collected: Metrics = request.registry["calotype.metrics"]
    return Response(body=collected.render(), headers={"Content-Type": collected.content_type})


def _processes(request: Request) -> dict[str, Any]:
    """Return the processes that serve, for an administrator; nothing for others, or without a token."""
    try:
        if not request.caller.is_admin:
            return {}
        found = request.image_registry.processes.all()
    except (Unauthenticated, TokensUnreadable, RegistryError):
        return {}
    return {
        "processes": [
            {
                "host": one.host,
                "pid": one.pid,
                "version": one.version,
                "started": _moment(one.started_at),
                "last_seen": _moment(one.seen_at),
            }
            for one in found
        ]
    }


def _moment(at: datetime.datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def includeme(config: Configurator) -> None:
    """Hang the three views under the root."""
    for view, renderer in ((healthz, None), (readyz, "json"), (metrics, None)):
        config.add_view(
            view,
            context=Root,
            name=view.__name__,
            method=("GET", "HEAD"),
            renderer=renderer,
            permission=NO_PERMISSION_REQUIRED,
        )
