"""`?wait=STATUS&timeout=SECONDS`: answer a request for an image when the image has that status.

The response is the ordinary one. It comes when the image has the status or can no longer get it, when an
upload or an import of the image has failed, or at the timeout. Under calotype-server, the request holds no
worker while it waits: the server runs it again after each event of the image, so the rights are checked anew.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.response import Response

from calotype.api.http.filters import read_choice
from calotype.api.http.listening import Pause, pause_of, subscribe
from calotype.api.http.request import Request
from calotype.config.messages import quoted
from calotype.events.feed import Subscription
from calotype.model.events import EventKind
from calotype.model.fields import InvalidRequest
from calotype.model.images import Image
from calotype.model.states import Status, can_become
from calotype.stores.bulkhead import STAND_IN

#: Seconds that a request waits by default, and at most.
_TIMEOUT = 60
TIMEOUT_MAX = 300
#: The key in the memory of a pause.
_WAIT = "calotype.wait"

View = Callable[[Any, Request], Response]


class Parked(Response):
    """The response of a request that will run again. The server does not send it, and it is not logged."""


@dataclass
class _Wait:
    """A wait for a status, which ends at the time.monotonic() `until` at the latest."""

    wanted: Status
    until: float
    subscription: Subscription | None = None

    def is_over(self, image: Image) -> bool:
        """Return whether the request must be answered now. The image must have been read just now."""
        if image.status is self.wanted or not can_become(image.status, self.wanted):
            return True
        return time.monotonic() >= self.until or self._has_failed()

    def subscribe(self, request: Request, image: Image, wake: Callable[[], object]) -> Subscription:
        """Subscribe to the events of the image that may end the wait; raises the errors of `subscribe`."""
        return subscribe(request, wake, self.until, image_id=image.id, wanted=self.wanted)

    def _has_failed(self) -> bool:
        """Return whether an upload or an import has failed since the wait began."""
        if self.subscription is None:
            return False
        since = self.subscription.newest
        return any(
            news.event.kind is EventKind.FAILED and (news.number or 0) > since
            for news in self.subscription.take()
        )


def when_ready(view: View) -> View:
    """Wrap a view of an image, so that it waits if the query has `wait`."""

    @functools.wraps(view)
    def waiting(context: Any, request: Request) -> Response:
        wait = _read_wait(request)
        if wait is None:
            return view(context, request)
        pause = pause_of(request)
        if pause is None:
            return _answer_in_thread(wait, view, context, request)
        return _answer(pause, wait, view, context, request)

    return waiting


def _answer(pause: Pause, wait: _Wait, view: View, context: Any, request: Request) -> Response:
    """Return the response, or let the server run the request again after the next event."""
    wait = pause.memory.get(_WAIT, wait)
    if pause.ending or wait.is_over(context.image):
        return view(context, request)
    if wait.subscription is None:
        feed = request.lifecycle.feed
        wait.subscription = found = wait.subscribe(request, context.image, pause.wake)
        pause.memory[_WAIT] = wait
        pause.at_end(lambda: feed.end(found))
        pause.wake()  # run again at once: the image may have changed before the subscription began
    pause.run_again()
    return Parked(status=204)


def _answer_in_thread(wait: _Wait, view: View, context: Any, request: Request) -> Response:
    """Wait in the thread of the request, and return the response."""
    if wait.is_over(context.image):
        return view(context, request)
    woken = threading.Event()
    wait.subscription = wait.subscribe(request, context.image, woken.set)
    try:
        while True:
            image = request.visible_image(context.image.id)
            if image is None:
                raise HTTPNotFound
            context.image = image
            if wait.is_over(image):
                return view(context, request)
            with STAND_IN.get()():
                woken.wait(max(0, wait.until - time.monotonic()))
            woken.clear()
            request.confirm_caller()
    finally:
        request.lifecycle.feed.end(wait.subscription)


def _read_wait(request: Request) -> _Wait | None:
    """Return the wait that the query asks for, or None; raises InvalidRequest."""
    wanted = read_choice(request.GET, "wait", (*map(str, Status),), None)
    if wanted is None:
        return None
    text = request.GET.get("timeout", str(_TIMEOUT))
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) <= TIMEOUT_MAX):
        raise InvalidRequest(
            f"Invalid timeout: it must be a number of seconds from 0 to {TIMEOUT_MAX}, not {quoted(text)}."
        )
    return _Wait(Status(wanted), time.monotonic() + int(text))
