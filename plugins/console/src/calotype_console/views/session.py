"""The beginning and the end of a browser's session, and the files that the pages load."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import ClassVar

from pyramid.config import Configurator
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from calotype.api.http.request import Request
from calotype.identity.security import Unauthenticated
from calotype_console import sessions
from calotype_console.forms import read_form
from calotype_console.pages import page, see_other
from calotype_console.resources import AssetFile, Console

_START = "/console/images"


class Attempts:
    """Failed attempts to sign in, which make the next ones of the same address wait.

    Each process counts for itself. A token has 256 random bits, so this only keeps the log short and the
    service idle; it is not what protects tokens.
    """

    KEY: ClassVar = "calotype.console.attempts"
    #: Failures that an address has free within `WINDOW` seconds.
    FREE = 5
    WINDOW = 60.0
    #: Addresses that are remembered; the oldest is forgotten first.
    _MOST = 1000

    def __init__(self) -> None:
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, address: str) -> int:
        """Return the seconds that this address has to wait before its next attempt; 0 for none."""
        now = time.monotonic()
        with self._lock:
            recent = [at for at in self._failures.get(address, ()) if now - at < self.WINDOW]
        return int(recent[0] + self.WINDOW - now) + 1 if len(recent) >= self.FREE else 0

    def fail(self, address: str) -> None:
        """Count a failed attempt."""
        now = time.monotonic()
        with self._lock:
            recent = [at for at in self._failures.pop(address, ()) if now - at < self.WINDOW]
            self._failures[address] = [*recent, now][-self.FREE :]
            while len(self._failures) > self._MOST:
                self._failures.popitem(last=False)


@view_config(context=Console, method="GET", permission=NO_PERMISSION_REQUIRED)
def start(context: Console, request: Request) -> Response:
    """GET /console: lead to the list of images."""
    return see_other(_START)


@view_config(context=Console, name="sign-in", method="GET", permission=NO_PERMISSION_REQUIRED)
def sign_in_page(context: Console, request: Request) -> Response:
    """GET /console/sign-in: the form for a token."""
    return page(request, "sign_in", next=_inside(request.GET.get("next")))


@view_config(context=Console, name="sign-in", method="POST", permission=NO_PERMISSION_REQUIRED)
def sign_in(context: Console, request: Request) -> Response:
    """POST /console/sign-in: begin a session with a token."""
    form, address = read_form(request), request.environ.get("REMOTE_ADDR", "")
    following = _inside(form.get("next"))
    attempts: Attempts = request.registry[Attempts.KEY]
    if seconds := attempts.wait(address):
        text = f"Too many attempts have failed. Try again in {seconds} seconds."
        response = page(request, "sign_in", 429, next=following, text=text)
        response.headers["Retry-After"] = str(seconds)
        return response
    token = form.get("token", "").strip()
    request.environ["HTTP_X_AUTH_TOKEN"] = token
    try:
        caller = request.caller if token.isascii() else None
    except Unauthenticated:
        caller = None
    if caller is None or caller.anonymous or not token:
        attempts.fail(address)
        text = "The token is unknown or has expired."
        return page(request, "sign_in", 403, next=following, text=text)
    response = see_other(following)
    sessions.begin(request, response, token)
    return response


@view_config(context=Console, name="sign-out", method="POST", permission=NO_PERMISSION_REQUIRED)
def sign_out(context: Console, request: Request) -> Response:
    """POST /console/sign-out: end the session. The token stays valid elsewhere."""
    response = see_other("/console/sign-in")
    sessions.end(response)
    return response


@view_config(context=AssetFile, method="GET", permission=NO_PERMISSION_REQUIRED)
def asset(context: AssetFile, request: Request) -> Response:
    """GET /console/assets/NAME: a stylesheet or a script."""
    response = Response(context.asset.body, content_type=context.asset.media_type, charset="utf-8")
    fits = request.GET.get("v") == context.asset.version
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if fits else "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _inside(path: str | None) -> str:
    """Return the path if it is one of the console, else that of the list."""
    is_ours = path is not None and path.startswith("/console/") and path.isascii() and path.isprintable()
    return path if path is not None and is_ours else _START


def includeme(config: Configurator) -> None:
    """Give this process its memory of failed attempts."""
    config.registry[Attempts.KEY] = Attempts()
