"""Listening sockets: those of waitress, with a limit on the connections from each address."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
from collections.abc import Iterator
from typing import Any

from waitress.server import BaseWSGIServer, TcpWSGIServer, UnixWSGIServer
from waitress.task import ThreadedTaskDispatcher

from calotype_server.channel import Channel, counted_as
from calotype_server.errors import CannotListen
from calotype_server.pausing import pausing
from calotype_server.poller import Poller
from calotype_server.reload import unused
from calotype_server.settings import ServerSettings
from calotype_server.spread import Share
from calotype_server.workers import Workers

log = logging.getLogger(__name__)

#: Maximum connections accepted in one turn of the loop. It is enough for a burst, and keeps the turn short.
_RUSH = 64
_CURES = {
    errno.EADDRINUSE: ". Another process listens there: end it, or choose another port",
    errno.EADDRNOTAVAIL: ". It is not an address of this machine: choose one of its own",
    errno.EACCES: ". Ports below 1024 need root: choose a higher port, or a directory that is writable",
    errno.ENOENT: ". Its directory does not exist: create it first",
}


class Listener(BaseWSGIServer):
    """A listening socket with this server's limits. It is the base class of both kinds of listeners."""

    adj: ServerSettings
    active_channels: dict[int, Channel]
    _map: Poller
    task_dispatcher: Workers

    channel_class = Channel
    #: True for the server's admin listener, False for others; None if the server has no admin listener.
    is_admin: bool | None = None
    #: True once the server has begun to shut down.
    ending = False
    #: The share of this process in the connections, if several processes listen here.
    share: Share | None = None
    _has_accepted = False
    _refused = 0

    @property
    def address(self) -> str:
        """The listener's address as a URL."""
        return address_of(self.socket)

    def set_reuse_addr(self) -> None:
        """Let another process listen here after this one ends, or at the same time if `reuse_port` is set."""
        super().set_reuse_addr()
        if self.adj.reuse_port and self.family != socket.AF_UNIX:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    def add_task(self, task: Channel) -> None:
        """Queue a connection's next request."""
        task.is_served = True
        self._map.busy.add(task.descriptor)
        super().add_task(task)

    def pull_trigger(self) -> None:
        """Watch the connection that the calling worker has changed.

        The loop need not wake up for that, unless it waits for the end of the last requests.
        """
        channel = self.task_dispatcher.serving.channel
        if channel is not None:
            self._map.take_back(channel.descriptor)
        if channel is None or self.ending:
            super().pull_trigger()

    def readable(self) -> bool:
        """Return whether this process waits for connections now."""
        accepts = bool(super().readable())
        if self.share is None or not self.accepting:
            return accepts
        return self.share.open(self._map.count_busy(), len(self._map), is_full=not accepts)

    def handle_accept(self) -> None:
        """Accept the waiting connections, except those that another process should accept."""
        for _ in range(_RUSH):
            if self.share is not None and not self.share.takes(self._map.count_busy(), len(self._map)):
                break
            self._has_accepted = False
            super().handle_accept()
            if not self._has_accepted:
                break

    def accept(self) -> tuple[socket.socket, Any] | None:
        """Accept one connection. Close it at once if its address has as many as allowed."""
        accepted = super().accept()
        if accepted is None:
            return None
        self._has_accepted = True
        connection, address = accepted
        if self._is_full(address):
            connection.close()
            self._refused += 1
            return None
        self._map.busy.add(connection.fileno())
        return connection, address

    def _is_full(self, address: Any) -> bool:
        most = self.adj.connections_per_address
        if not most or self.family == socket.AF_UNIX or address[0] in self.adj.uncounted_addresses:
            return False
        counts_as = counted_as(address[0])
        return sum(channel.counts_as == counts_as for channel in self.active_channels.values()) >= most

    def maintenance(self, now: float) -> None:
        """Check every deadline. Log an error instead of raising it, because it must not end the loop."""
        try:
            self._check_all(now)
        except Exception:
            log.exception("could not check all deadlines")

    def _check_all(self, now: float) -> None:
        for channel in list(self.active_channels.values()):
            channel.enforce_deadlines(now)
        self.task_dispatcher.look_after()
        if self._refused:
            log.warning(
                "refused %d connections from addresses at their connections_per_address", self._refused
            )
            self._refused = 0


class TcpListener(Listener, TcpWSGIServer):
    """A listener on an address and port."""


class UnixListener(Listener, UnixWSGIServer):
    """A listener on a Unix socket."""


def listen(
    app: Any, settings: ServerSettings, sockets: Poller, workers: ThreadedTaskDispatcher
) -> Iterator[Listener]:
    """Yield a listener for each address or Unix socket in the settings.

    Raises:
        CannotListen: an address is in use, or does not belong to this machine.
    """
    app, shared = pausing(app), {"dispatcher": workers, "adj": settings}
    if settings.unix_socket:
        place = (socket.AF_UNIX, socket.SOCK_STREAM, None, None)
        with _named(settings.unix_socket):
            listener: Listener = UnixListener(app, sockets, sockinfo=place, **shared)
        yield listener
    elif settings.sockets:
        for given in settings.sockets:
            kind = UnixListener if given.family == socket.AF_UNIX else TcpListener
            place = (given.family, given.type, given.proto, given.getsockname())
            yield kind(app, sockets, True, given, sockinfo=place, bind_socket=False, **shared)
    else:
        for place in settings.listen:
            with _named("{}:{}".format(*place[3][:2])):
                listener = TcpListener(app, sockets, sockinfo=place, **shared)
            yield listener


def bind(settings: ServerSettings, inherited: dict[str, int], kind: str = "") -> dict[str, socket.socket]:
    """Return a listening socket for each place in the settings; take those that this process has inherited.

    The names of the sockets begin with `kind`.

    Raises:
        CannotListen: an address is in use, or does not belong to this machine.
    """
    bound: dict[str, socket.socket] = {}
    for place, there in _places(settings):
        name = unused(kind + place, bound)
        if name in inherited:
            bound[name] = socket.socket(fileno=inherited.pop(name))
            bound[name].set_inheritable(False)
            continue
        watched = Poller()
        try:
            (listener,) = listen(None, there, watched, ThreadedTaskDispatcher())
            bound[name] = listener.socket.dup()
        finally:
            watched.close()
    return bound


def _places(settings: ServerSettings) -> Iterator[tuple[str, ServerSettings]]:
    """Yield the name of each place to listen at, and settings that name no other place."""
    if settings.unix_socket:
        yield f"unix:{settings.unix_socket}", settings
    elif settings.sockets:
        for given in settings.sockets:
            yield f"given:{given.getsockname()}", settings.changed(sockets=[given])
    else:
        for place in settings.listen:
            yield "{}:{}".format(*place[3][:2]), settings.changed(listen=[place])


def address_of(listening: socket.socket) -> str:
    """Return the address of a listening socket as a URL."""
    name = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        return f"unix:{name}"
    host, port = name[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_shared(place: tuple[str, int | None]) -> bool:
    """Return whether another process already listens on this address, which `reuse_port` lets both share."""
    host, port = place
    if not port:
        return False
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


@contextlib.contextmanager
def _named(place: str) -> Iterator[None]:
    """Convert an OSError to a CannotListen that names the address and a remedy.

    Raises:
        CannotListen: the server cannot listen there.
    """
    try:
        yield
    except OSError as error:
        cure = _CURES.get(error.errno or 0, "")
        raise CannotListen(f"cannot listen on {place}: {error.strerror or error}{cure}") from error
