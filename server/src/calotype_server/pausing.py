"""Pauses: a response that waits for an event, or a request that runs again after one, without a worker.

An application that waits holds a worker, so a thousand clients that wait would need a thousand threads. With
a Pause, the worker leaves. The loop watches the connection until another thread of the application calls
`wake`. Then any worker continues the response, or runs the request again. The README describes the protocol.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from wsgiref.types import WSGIApplication

if TYPE_CHECKING:
    from calotype_server.channel import Channel

#: The key of the WSGI environment that holds the Pause of the request.
PAUSABLE = "calotype_server.pausable"


class Paused(BaseException):
    """A request has paused, so its worker must leave it. waitress does not catch a BaseException."""


class Pause:
    """The pauses of one request. All methods except `wake` belong to the thread that runs the request."""

    def __init__(self, channel: Channel):
        #: Values that the application keeps while the request runs again. The server does not read them.
        self.memory: dict[str, Any] = {}
        self._channel = channel
        self._is_enabled = False
        self._runs_again = False
        self._at_end: list[Callable[[], object]] = []
        #: The body that has paused.
        self._body: PausingBody | None = None
        self._lock = threading.Lock()
        self._is_woken = False
        self._is_resting = False

    # -- for the application

    @property
    def ending(self) -> bool:
        """True if the server is about to end. The application must then end the response soon."""
        return bool(self._channel.server.ending)

    def enable(self) -> None:
        """From now on, an empty block of the response's body means that the response pauses until `wake`."""
        self._is_enabled = True

    def run_again(self) -> None:
        """Discard the response that the application returns now, and run the request again after `wake`."""
        self._is_enabled = self._runs_again = True

    def at_end(self, call: Callable[[], object]) -> None:
        """Call a function once the request has ended, even if the client has left during a pause."""
        self._at_end.append(call)

    def wake(self) -> None:
        """End the pause; any thread may call this. Before a pause, it makes that pause end at once.

        While the client has not taken what was sent before, the pause goes on, so that a slow client needs
        neither a worker nor memory.
        """
        with self._lock:
            self._is_woken = True
            is_due = self._is_due()
        if is_due:
            self._channel.resume()

    # -- for the server

    def flushed(self) -> None:
        """End the pause if `wake` was called while bytes were waiting for the client."""
        with self._lock:
            is_due = self._is_due()
        if is_due:
            self._channel.resume()

    def rest(self) -> bool:
        """Begin a pause, and return True; return False if it has ended already."""
        with self._lock:
            self._is_resting = True
            return not self._is_due()

    def _is_due(self) -> bool:
        """End the pause if it may end now, and return whether it did. The caller must hold the lock."""
        if not (self._is_resting and self._is_woken) or self._channel.total_outbufs_len:
            return False
        self._is_resting = self._is_woken = False
        return True

    def hold(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return a body that can pause; raise Paused if the request is to run again."""
        if not self._is_enabled:
            return body
        pausing = PausingBody(body, self)
        if self._runs_again:
            self._runs_again = self._is_enabled = False
            pausing.close()
            raise Paused
        return pausing

    def keep(self, body: PausingBody) -> None:
        """Keep a body that pauses."""
        self._body = body

    def keeps(self, body: PausingBody) -> bool:
        """Return whether this body has paused, so that it must not be closed."""
        return self._body is body

    def take_body(self) -> PausingBody | None:
        """Return the body that has paused, to continue it; None if there is none."""
        body, self._body = self._body, None
        return body

    def end(self) -> None:
        """Close the body, and call the functions that the application has registered."""
        try:
            if (body := self.take_body()) is not None:
                body.close()
        finally:
            while self._at_end:
                self._at_end.pop()()


class PausingBody:
    """A response's body that raises Paused at each empty block, and can be continued after that."""

    def __init__(self, body: Iterable[bytes], pause: Pause):
        self._body = body
        self._blocks = iter(body)
        self._pause = pause

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block = next(self._blocks)
        if not block:
            self._pause.keep(self)
            raise Paused
        return block

    def close(self) -> None:
        """Close the application's body, unless it has only paused. waitress calls this in both cases."""
        if not self._pause.keeps(self) and hasattr(self._body, "close"):
            self._body.close()


def pausing(app: WSGIApplication) -> WSGIApplication:
    """Return the application with bodies that can pause, and requests that can run again."""

    def run(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        pause: Pause = environ[PAUSABLE]  # first, because a filter may change the environment
        return pause.hold(app(environ, start_response))

    return run
