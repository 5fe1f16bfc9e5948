"""What watchers ask: /healthz (the process lives), /readyz (it can serve), /metrics (for Prometheus).

None of them asks for a token; /metrics is there only when the settings say so. With `calotype.admin_listen`
it is a view of the admin listener's tree alone: no spelling of a path leads to it from elsewhere. Readiness
is the database's: one store that is away degrades what needs it, and nothing else.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from calotype.metrics import Metrics
from calotype.registry import RegistryError, RegistryFull, RegistryUnavailable
from calotype.resources import AdminRoot, Root
from calotype.security import Unauthenticated
from calotype.settings import Settings
from calotype.stores.errors import StoreError, StoreFull
from calotype.tokens import TokensUnreadable


def healthz(context: Root | AdminRoot, request: Request) -> Response:
    """The process answers."""
    return Response("ok\n", content_type="text/plain", charset="utf-8")


def readyz(context: Root | AdminRoot, request: Request) -> dict[str, Any]:
    """Return the state of the database and of each store: "ok", "full" or "unavailable".

    503 unless the database is ok: without room it takes no image, though it lets images be read and deleted.
    """
    stores = {store.name: _state(store.check) for store in request.stores}
    database = _state(request.image_registry.check)
    if database != "ok":
        request.response.status_int = 503
        request.response.headers["Retry-After"] = "5"
    return {"database": database, "stores": stores, **_processes(request)}


def metrics(context: Root | AdminRoot, request: Request) -> Response:
    """Counters of this process, and gauges read from the registry now."""
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


def _state(check: Any) -> str:
    """What a watcher may know: no reason, for reasons name hosts and paths."""
    try:
        check()
    except (StoreFull, RegistryFull):
        return "full"
    except (StoreError, RegistryUnavailable):
        return "unavailable"
    return "ok"


def includeme(config: Configurator) -> None:
    """Hang the views under the roots: health under both, metrics where the settings want them."""
    settings: Settings = config.registry["calotype.settings"]
    for root in (Root, AdminRoot):
        _add(config, healthz, root)
        _add(config, readyz, root, renderer="json")
    if settings.metrics:
        _add(config, metrics, AdminRoot if settings.admin_listen else Root)


def _add(config: Configurator, view: Callable, root: type, renderer: str | None = None) -> None:
    config.add_view(
        view,
        context=root,
        name=view.__name__,
        method=("GET", "HEAD"),
        renderer=renderer,
        permission=NO_PERMISSION_REQUIRED,
    )
