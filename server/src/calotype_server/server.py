"""A WSGI server: its listeners, their connections, its workers, and its shutdown."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from wsgiref.types import WSGIApplication

from waitress import wasyncore

from calotype_server.channel import Channel
from calotype_server.errors import CannotListen
from calotype_server.listeners import is_shared, listen
from calotype_server.poller import Poller
from calotype_server.settings import ServerSettings
from calotype_server.spread import Share, Signal
from calotype_server.workers import Workers

log = logging.getLogger(__name__)

_DRAINING = (
    "requests under way: %d; the server ends when they have ended, in %g seconds at the latest. "
    "A second SIGTERM or Ctrl-C ends it at once, together with these requests"
)
#: Seconds for which a gentle end leaves an idle connection open. The response to a request closes it.
_MAY_ASK_AGAIN = 5
_SHARED = (
    "admin_listen: another process listens on %s:%d too, because of reuse_port. Either that "
    "process or this one (%d) answers a request there: give each process an admin address of its own"
)


class Server:
    """A WSGI server. It listens as soon as it is constructed, and serves requests while `run` runs."""

    def __init__(self, app: WSGIApplication, settings: ServerSettings, admin: ServerSettings | None = None):
        """Listen on the addresses of `settings`. Add an admin listener for each address of `admin`.

        Raises:
            CannotListen: an address is in use, or does not belong to this machine.
        """
        self.settings = settings
        self._sockets = Poller()
        self._workers = Workers(settings)
        self._ending = False
        self._is_gentle = False
        #: How long running requests have to finish, and the time.monotonic() at which this time is over.
        self._drains_for = self._drains_until = 0.0
        self._share: Share | None = None
        #: The lock for waking the loop and for closing its trigger. It is reentrant, because a signal handler
        #: may interrupt its holder.
        self._open = threading.RLock()
        try:
            self.listeners = list(listen(app, settings, self._sockets, self._workers))
            if admin is not None:
                self._add_admin_listeners(app, admin)
        except CannotListen:
            self._workers.shutdown()
            self._sockets.close()
            raise

    def _add_admin_listeners(self, app: WSGIApplication, admin: ServerSettings) -> None:
        for host, port in admin.places() if admin.reuse_port and not admin.sockets else ():
            if is_shared((host, port)):
                log.warning(_SHARED, host, port, os.getpid())
        try:
            added = list(listen(app, admin, self._sockets, self._workers))
        except CannotListen as error:
            raise CannotListen(f"admin_listen: {error}") from None
        for listener in self.listeners:
            listener.is_admin = False
        for listener in added:
            listener.is_admin = True
        self.listeners += added

    def join(self, share: Share, lifeline: int, end: Callable[[], None]) -> None:
        """Serve as one of several processes that listen on the same sockets. Call it before `run`.

        Args:
            share: The share of this process in the new connections.
            lifeline: A descriptor of a pipe. When its writer closes it or dies, `end` is called.
        """
        self._share = share
        for listener in self.listeners:
            listener.share = share
        share.listen(self._sockets, self._accept)
        Signal(lifeline, self._sockets, end)

    @property
    def addresses(self) -> list[str]:
        """The addresses of all listeners, as URLs."""
        return [listener.address for listener in self.listeners]

    @property
    def effective_port(self) -> str:
        """The port of the first listener."""
        return str(self.listeners[0].effective_port)

    @property
    def workers_left(self) -> bool:
        """True if a request still runs although the server is closed."""
        return bool(self._workers.threads)

    def run(self) -> None:
        """Serve until `stop` is called, then let running requests finish, and close."""
        try:
            while not self._ending:
                self._turn()
        except (KeyboardInterrupt, SystemExit):
            self.stop()
        self._drain()
        self.close()

    def stop(self, *, gently: bool = False) -> None:
        """Make `run` return; other threads and signal handlers may call this.

        Args:
            gently: True to close an idle connection only some seconds after its last request, because its
                client may be about to send another one.
        """
        with self._open:
            self._is_gentle = gently
            self._drains_for = self.settings.reload_timeout if gently else self.settings.drain_timeout
            until = time.monotonic() + self._drains_for
            self._drains_until = min(until, self._drains_until) if self._ending else until
            if not self._ending:
                self._ending = True
                self.listeners[0].trigger.pull_trigger()

    def _turn(self) -> None:
        longest: float = self.settings.asyncore_loop_timeout
        self._sockets.turn(longest if self._share is None else partial(self._share.timeout, longest))

    def _accept(self) -> None:
        """Accept the connections that another process has left to this one."""
        for listener in self.listeners:
            if listener.accepting and not listener.ending:
                listener.handle_accept()

    def _channels(self) -> list[Channel]:
        return [channel for listener in self.listeners for channel in listener.active_channels.values()]

    def _drain(self) -> None:
        """Stop listening, close idle connections, and wait for the others until the time is over."""
        if self._share is not None:
            self._share.close()
        for listener in self.listeners:
            listener.ending = True
            wasyncore.dispatcher.close(listener)
        for channel in self._channels():
            channel.wake()
        is_logged = False
        while time.monotonic() < self._drains_until:
            for listener in self.listeners:
                listener.maintenance(time.time())
            channels = self._channels()
            if not any(map(self._is_needed, channels)):
                return
            if (busy := sum(channel.busy for channel in channels)) and not is_logged:
                is_logged = True
                log.warning(_DRAINING, busy, self._drains_for)
            for channel in channels:
                if not self._is_needed(channel):
                    channel.cut()
            self._turn()
        if busy := sum(channel.busy for channel in self._channels()):
            log.warning("ended %d requests that did not finish in time", busy)

    def _is_needed(self, channel: Channel) -> bool:
        """Return whether a connection must stay open although the server ends."""
        if channel.rests:
            return False  # it was woken, and has not ended
        return channel.busy or (self._is_gentle and time.time() < channel.last_activity + _MAY_ASK_AGAIN)

    def close(self) -> None:
        """Close every connection and end the workers; `run` must have ended."""
        for channel in self._channels():
            channel.handle_close()
        self._workers.shutdown()
        with self._open:
            self._ending = True
            for listener in self.listeners:
                listener.trigger.close()
        self._sockets.close()


def create_server(app: WSGIApplication, **settings: Any) -> Server:
    """Return a server that already listens. Call its `run` to serve requests.

    Raises:
        ServerSettingsError: a setting is unknown or wrong.
        CannotListen: an address is in use, or does not belong to this machine.
    """
    return Server(app, ServerSettings(**settings))
