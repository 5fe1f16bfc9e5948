"""The tween around every request: it writes the access log, and lets the server replace waiting workers."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator
from pyramid.registry import Registry
from pyramid.response import Response
from pyramid.tweens import EXCVIEW

from calotype.api.http.request import Request
from calotype.api.http.waiting import Parked
from calotype.stores.bulkhead import STAND_IN

log = logging.getLogger("calotype.access")


class _Counted:
    """A request body that counts the bytes read, because a client can send fewer than it announced."""

    def __init__(self, body: Any):
        self.count = 0
        self._body = body

    def read(self, size: int = -1, /) -> bytes:
        block: bytes = self._body.read(size)
        self.count += len(block)
        return block

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)


#: Characters that are escaped in logged paths, because they could forge a line or control a terminal.
_UNSAFE = re.compile(r"[^\x21\x23-\x5b\x5d-\x7e]")
_PATH_SHOWN = 300


def access_tween_factory(
    handler: Callable[[Request], Response], registry: Registry
) -> Callable[[Request], Response]:
    """Return the tween, which logs each request: its caller, method, path, status, bytes and milliseconds."""

    def access_tween(request: Request) -> Response:
        began = time.perf_counter()
        body = request.environ["wsgi.input"] = _Counted(request.environ["wsgi.input"])
        # Only Calotype's server sets this key. With any other server, a waiting worker is not replaced.
        token = STAND_IN.set(request.environ.get("calotype_server.release_worker", contextlib.nullcontext))
        try:
            response = handler(request)
        finally:
            STAND_IN.reset(token)
        if isinstance(response, Parked):
            return response  # the request will run again, and is logged then
        response.headers["x-openstack-request-id"] = request.id
        seconds = time.perf_counter() - began
        caller = request.known_caller
        sent = 0 if request.method == "HEAD" else response.content_length or 0
        request.parts.metrics.observe_request(request.method, response.status_int, seconds, body.count, sent)
        log.info(
            'id=%s addr=%s user=%s project=%s method=%s path="%s" status=%d in=%d out=%d ms=%.1f',
            request.id,
            shown(request.environ.get("REMOTE_ADDR", "-")),
            shown((caller and caller.user) or "-"),
            shown((caller and caller.project) or "-"),
            shown(request.environ.get("REQUEST_METHOD", "-")),
            shown(request.environ.get("PATH_INFO", "")),
            response.status_int,
            body.count,
            sent,
            seconds * 1000,
        )
        return response

    return access_tween


def shown(text: str) -> str:
    """Return a client's text for the log, shortened and with unsafe characters escaped."""
    cut = text[:_PATH_SHOWN] + ("..." if len(text) > _PATH_SHOWN else "")
    return _UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", cut)


def includeme(config: Configurator) -> None:
    """Install the tween outside the exception views, so that errors are logged too."""
    config.add_tween("calotype.api.http.access_log.access_tween_factory", over=EXCVIEW)
