"""Render pages: what all of them share, and how times, sizes and errors look."""

from __future__ import annotations

import datetime
import http
from typing import Any
from urllib.parse import urlencode

from pyramid.config import Configurator
from pyramid.renderers import render
from pyramid.response import Response

from calotype.api.http.request import Request
from calotype.model import policy
from calotype_console.assets import Assets

#: Only files of this service, no script in a page, no frame around it (W3C Content Security Policy 3).
_POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")),
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    # `no-referrer` would make browsers send `Origin: null` with forms.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
#: What a page shows for a value that is not known.
_NOTHING = "\N{EN DASH}"
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Return a page. `template` is a name in the folder `templates`, without its suffix."""
    assets: Assets = request.registry[Assets.KEY]
    caller = request.known_caller
    values |= {
        "asset": assets.path,
        "caller": caller,
        "signs_in": request.settings.identity == "tokens",
        "operates": caller is not None and caller.is_admin,
        "policy": policy,
    }
    text = render(f"calotype_console:templates/{template}.html", values, request=request)
    response = Response(text, status=status, content_type="text/html", charset="utf-8")
    response.headers.update(_HEADERS)
    return response


def see_other(path: str, **query: str) -> Response:
    """Return a response that leads the browser to another page, as after a form."""
    location = f"{path}?{urlencode(query)}" if query else path
    response = Response(status=303, location=location)
    response.headers["Cache-Control"] = "no-store"
    return response


def error_page(request: Request, status: int, text: str) -> Response:
    """Return an error as a page. Lead a browser without a session to the page that begins one."""
    if status == 401 and request.method == "GET" and request.settings.identity == "tokens":
        return see_other("/console/sign-in", next=request.path_qs)
    title = http.HTTPStatus(status).phrase
    return page(request, "error", status, title=title, text=text, number=status)


def size(number: int | None) -> str:
    """Return a number of bytes as people read it, such as `1.5 GiB`."""
    if number is None:
        return _NOTHING
    value, unit = float(number), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{number:,} {_UNITS[0]}" if not unit else f"{value:,.1f} {_UNITS[unit]}"


def moment(value: datetime.datetime | None) -> str:
    """Return a time in UTC to the minute, such as `2026-12-01 09:30`."""
    return _NOTHING if value is None else f"{value:%Y-%m-%d %H:%M}"


def add_filters(config: Configurator) -> None:
    """Let templates use `size` and `moment`."""
    environment = config.get_jinja2_environment(name=".html")
    environment.filters.update(size=size, moment=moment)
    environment.trim_blocks = environment.lstrip_blocks = True
