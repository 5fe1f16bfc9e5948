"""Serve only callers on this machine if identity is `none`, because each of them is an administrator.

Listening on a loopback address is not enough. A proxy on this machine can forward requests from elsewhere. A
web page in a browser on this machine can send requests across origins. It can also make its own host name
resolve to a loopback address (DNS rebinding). Therefore the peer and the headers of each request are checked,
for every path.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from pyramid.config import Configurator
from pyramid.registry import Registry
from pyramid.response import Response
from pyramid.tweens import EXCVIEW

from calotype.api.http import cors
from calotype.api.http.request import Parts, Request
from calotype.config.settings import Settings

#: The addresses that waitress and most other servers report for a peer on a Unix socket.
_UNIX_PEERS = ("localhost", "")
#: Headers that proxies add, in the spelling of WSGI, and the common prefix of others.
_PROXY_HEADERS = ("HTTP_FORWARDED", "HTTP_X_REAL_IP")
_PROXY_PREFIX = "HTTP_X_FORWARDED"
_HOST = re.compile(r"(?:\[([^\]]*)\]|([^:]*))(?::[0-9]*)?")


class NotLocal(Exception):
    """The request may come from another machine. The message names the evidence and the remedy."""

    def __init__(self, sign: str):
        super().__init__(
            f"{sign}, but calotype.identity = none serves only programs on this machine: "
            "set calotype.identity to tokens or keystone to serve others."
        )


def local_tween_factory(
    handler: Callable[[Request], Response], registry: Registry
) -> Callable[[Request], Response]:
    """Return the tween, which refuses each request that may come from another machine."""
    settings: Settings = Parts.of(registry).settings

    def local_tween(request: Request) -> Response:
        _require_local_peer(request)
        _require_local_names(request, settings)
        return handler(request)

    return local_tween


def _require_local_peer(request: Request) -> None:
    # A caller in this process, such as WebTest, gives no address.
    peer = request.environ.get("REMOTE_ADDR", "")
    if peer not in _UNIX_PEERS and not _is_loopback(peer):
        raise NotLocal("The request comes from another machine")
    for name in request.environ:
        if name in _PROXY_HEADERS or name.startswith(_PROXY_PREFIX):
            header = name.removeprefix("HTTP_").replace("_", "-").title()
            raise NotLocal(f"The header {header} says that a proxy has passed the request on")


def _require_local_names(request: Request, settings: Settings) -> None:
    # Only HTTP/1.0 allows a request without Host, and browsers do not use it.
    host = request.environ.get("HTTP_HOST")
    if host is not None and not _is_loopback_host(host):
        raise NotLocal(
            "The header Host, or the host of the request's URL, is neither localhost nor a loopback address"
        )
    origin = request.environ.get("HTTP_ORIGIN")
    if (
        origin is not None
        and origin.lower() != request.host_url.lower()
        and not cors.allows(settings, origin)
    ):
        raise NotLocal(
            "The header Origin says that a page of another site sends the request, and "
            "calotype.cors_origins does not name it"
        )


def _is_loopback_host(host: str) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    if match[1] is not None:
        return _is_loopback(match[1])
    name = match[2].lower().removesuffix(".")
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)


def _is_loopback(text: str) -> bool:
    if text == "127.0.0.1":  # the usual case; parsing an address takes longer than all other checks
        return True
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def includeme(config: Configurator) -> None:
    """Install the tween if identity is `none`. The exception views are outside it and answer its refusals."""
    if Parts.of(config.registry).settings.identity == "none":
        config.add_tween("calotype.api.http.local.local_tween_factory", under=EXCVIEW)
