"""GET /events: what happens to the images that the caller may see, as server-sent events.

The format is that of the HTML standard, 9.2. A client that comes back sends the last `id` as Last-Event-ID,
and gets everything that happened meanwhile. Delivery is at least once: an event may come twice, with the same
`id` in its data. The rights are checked when an event is sent.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace

from pyramid.config import Configurator
from pyramid.response import Response

from calotype.api.http.listening import Held, Pause, pause_of, subscribe
from calotype.api.http.operations import STRING, Operation
from calotype.api.http.request import Request
from calotype.api.http.resources import Resource, Root
from calotype.database.errors import DatabaseError
from calotype.events.feed import Feed, News, Subscription, TooManyListeners, TooManyOfCaller
from calotype.identity.security import IdentityUnavailable, Unauthenticated
from calotype.identity.token_file import TokensUnreadable
from calotype.model import policy
from calotype.model.fields import InvalidRequest, canonical_id
from calotype.stores.bulkhead import STAND_IN

#: Seconds between two comments that show that the connection is alive, and milliseconds before a retry.
_HEARTBEAT = 15.0
_RETRY = 2000
#: Maximum number of digits of an event's number.
_DIGITS = 18


class Events(Resource):
    """/events: the events of the images that the caller may see"""

    __acl__ = Root.__acl__


class EventStream:
    """The body of the response: the events of one subscription, and a comment now and then."""

    def __init__(
        self, request: Request, subscription: Subscription, after: int | None, wake: Callable[[], object]
    ):
        self._request = request
        self._subscription = subscription
        self._after = after
        self._wake = wake
        self._pause: Pause | None = pause_of(request)
        self._feed: Feed = request.lifecycle.feed
        self._release_worker = STAND_IN.get()
        self._next_beat = time.monotonic() + _HEARTBEAT
        self._blocks = self._stream()

    def __iter__(self) -> Iterator[bytes]:
        return self._blocks

    def close(self) -> None:
        """End the subscription. The server calls this, even if the client has left."""
        self._blocks.close()
        self._feed.end(self._subscription)

    def _stream(self) -> Generator[bytes, None, None]:
        subscription, seen = self._subscription, set[int | None]()
        start = subscription.position if self._after is None else min(self._after, subscription.position)
        yield b"retry: %d\nid: %d\n\n" % (_RETRY, start)
        if self._after is not None:
            try:
                if self._feed.misses(self._after):
                    yield b"event: missed\ndata: {}\n\n"
                for news in self._past(self._after):
                    seen.update(one.number for one in news if (one.number or 0) > subscription.position)
                    yield _encode(news)
                    if time.monotonic() >= self._next_beat and not self._may_go_on():
                        return
                    self._wake()
                    yield b""  # pause until the client has taken the page, so that a slow one needs no worker
            except DatabaseError:
                return  # the client resumes
        while not (self._pause is not None and self._pause.ending):
            position = self._feed.position  # read first: all events up to it are among the news
            news = subscription.take()
            if subscription.is_overrun:
                return
            if fresh := [one for one in news if one.number not in seen]:
                yield _encode(fresh)
            elif time.monotonic() >= self._next_beat:
                if not self._may_go_on():
                    return
                yield b": still here\nid: %d\n\n" % position
            yield b""

    def _past(self, after: int) -> Iterator[list[News]]:
        pages = self._feed.past(self._subscription, after)
        while True:
            with self._release_worker():
                page = next(pages, None)
            if page is None:
                return
            yield page

    def _may_go_on(self) -> bool:
        """Schedule the next heartbeat, and return whether the caller's token is still valid."""
        self._next_beat = self._subscription.due = time.monotonic() + _HEARTBEAT
        try:
            with self._release_worker():
                caller = self._request.confirm_caller()
        except Unauthenticated:
            return False
        except (IdentityUnavailable, TokensUnreadable):
            return True  # the next heartbeat checks again
        self._subscription.ask = replace(self._subscription.ask, caller=caller)
        return True


def listen(context: Events, request: Request) -> Response:
    """GET /events: the events of all images that the caller may see, or with `image=ID` of one image."""
    response = Response(content_type="text/event-stream", charset="utf-8")
    response.cache_control = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # nginx would collect events
    after, image_id = _read_number(request), _read_image(request)
    if request.method == "HEAD":
        return response
    woken, pause = threading.Event(), pause_of(request)
    wake: Callable[[], object] = woken.set if pause is None else pause.wake
    subscription = subscribe(request, wake, time.monotonic() + _HEARTBEAT, image_id=image_id, progress=True)
    stream = EventStream(request, subscription, after, wake)
    if pause is None:
        held = Held(woken)
        held.body = stream
        response.app_iter = held
    else:
        pause.enable()
        pause.at_end(stream.close)
        response.app_iter = stream
    return response


def _read_number(request: Request) -> int | None:
    """Return the number after which the events begin, or None for those that happen from now on."""
    text = request.headers.get("Last-Event-ID", "")
    if text and not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise InvalidRequest("Invalid Last-Event-ID: it is not the id of an event of this service.")
    return int(text) if text else None


def _read_image(request: Request) -> str | None:
    text = request.GET.get("image")
    if text is not None and canonical_id(text) is None:
        raise InvalidRequest("Invalid image: it is not the id of an image.")
    return None if text is None else canonical_id(text)


def _encode(news: list[News]) -> bytes:
    return b"".join(_block(one) for one in news)


def _block(news: News) -> bytes:
    # JSON escapes line ends, which would end the data.
    data = json.dumps(news.event.to_json())
    number = "" if news.position is None else f"id: {news.position}\n"
    return f"{number}event: {news.event.kind}\ndata: {data}\n\n".encode()


def includeme(config: Configurator) -> None:
    """Add /events to the root."""
    config.add_child(Root, "events", Events)
    operation = Operation(
        {200: {"text/event-stream": STRING}},
        query={"image": STRING},
        headers={"Last-Event-ID": STRING},
        errors=(TooManyOfCaller, TooManyListeners),
    )
    config.add_view(listen, context=Events, method="GET", permission=policy.LIST, operation=operation)
