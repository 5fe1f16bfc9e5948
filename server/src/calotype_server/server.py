"""waitress as Calotype runs it: own channels, workers and deadlines, and an end that lets requests finish."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import logging
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from waitress import wasyncore
from waitress.server import TcpWSGIServer, UnixWSGIServer

from calotype.config.interpolation import SettingsError, expand, place_of, told_sources
from calotype.config.messages import located
from calotype_server.channel import Channel, counted_as
from calotype_server.ending import Deadline, end_now, running
from calotype_server.poller import Poller
from calotype_server.settings import ServerError, ServerSettings, ServerSettingsError
from calotype_server.workers import Workers

Application = Callable[..., Any]

log = logging.getLogger(__name__)

#: Connections accepted in one turn of the loop, so that a rush of them costs few turns and holds up nobody.
_RUSH = 64
#: What glibc's mallopt is told. M_ARENA_MAX: with an arena for each thread, as is usual, no other uses
#: again what one has freed, and eight uploads take 15 MiB more. M_MMAP_THRESHOLD: what is larger, as
#: parts of uploads are, goes back to the system when it is freed, and leaves no holes. M_TRIM_THRESHOLD:
#: what is smaller stays until so much is free, or each block of an upload would be taken and given back.
_MALLOC_OPTIONS = {-8: 2, -3: 1 << 20, -1: 4 << 20}

#: Seconds for which a thread may hold Python's lock while others wait for it. A HEAD needs the lock some ten
#: times, and with Python's own 5 ms it waited for as long each time while another request computed.
_SWITCH_INTERVAL = 0.0005

_DRAINING = (
    "requests under way: %d; the server ends when they have ended, in %g seconds at the latest. "
    "A second SIGTERM or Ctrl-C ends it at once, and them with it"
)
_CURES = {
    errno.EADDRINUSE: ". Another process listens there: end it, or choose another port",
    errno.EADDRNOTAVAIL: ". It is no address of this machine: choose one of its own",
    errno.EACCES: ". Only root may: choose a port above 1023, or a directory that this user may write to",
    errno.ENOENT: ". Its directory does not exist: create it first",
}

#: Objects looked at, at most, in search of the application behind its filters.
_FILTER_PARTS = 200


class CannotListen(ServerError):
    """Nobody can listen at an address: one sentence that names it."""


class _Listener:
    """What both kinds of waitress's listening sockets do otherwise here."""

    channel_class = Channel
    #: Whether this is the server's admin listener; None when the server has none.
    is_admin: bool | None = None
    #: Whether the server is about to end.
    ending = False
    _got_one = False
    _refused = 0

    def set_reuse_addr(self) -> None:
        """Let the address be taken again after us, and beside us if the settings say so."""
        super().set_reuse_addr()
        if self.adj.reuse_port and self.family != socket.AF_UNIX:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    def handle_accept(self) -> None:
        """Accept those who wait."""
        for _ in range(_RUSH):
            self._got_one = False
            super().handle_accept()
            if not self._got_one:
                break

    def accept(self) -> tuple[socket.socket, Any] | None:
        """Accept one, unless its address has enough connections."""
        accepted = super().accept()
        if accepted is None:
            return None
        self._got_one = True
        connection, address = accepted
        if self._is_full(address):
            connection.close()
            self._refused += 1
            return None
        return accepted

    def _is_full(self, address: Any) -> bool:
        cap = self.adj.connections_per_address
        if not cap or self.family == socket.AF_UNIX or address[0] in self.adj.uncounted_addresses:
            return False
        counts_as = counted_as(address[0])
        return sum(channel.counts_as == counts_as for channel in self.active_channels.values()) >= cap

    def maintenance(self, now: float) -> None:
        """Look at every deadline; no fault there ends the server."""
        try:
            self._look_after_all(now)
        except Exception:
            log.exception("could not look at all deadlines")

    def _look_after_all(self, now: float) -> None:
        for channel in list(self.active_channels.values()):
            channel.enforce_deadlines(now)
        self.task_dispatcher.look_after()
        if self._refused:
            log.warning("refused %d connections from addresses that have enough", self._refused)
            self._refused = 0


class TcpListener(_Listener, TcpWSGIServer):
    """Listens on an address and port."""


class UnixListener(_Listener, UnixWSGIServer):
    """Listens on a Unix socket."""


class Server:
    """A WSGI server that listens from the start, and serves while `run` runs."""

    def __init__(self, app: Application, settings: ServerSettings, admin: ServerSettings | None = None):
        """Listen where the settings say, and with `admin` at its places too, as admin listeners.

        Raises:
            CannotListen: an address is taken, or not ours.
        """
        self.settings = settings
        self._sockets = Poller()
        self._workers = Workers(settings)
        self._ending = False
        #: Held to wake the loop and to close what wakes it. A signal's handler may interrupt its holder.
        self._open = threading.RLock()
        try:
            self.listeners = list(self._listen(app, settings))
            if admin is not None:
                self._add_admin_listeners(app, admin)
        except CannotListen:
            self._workers.shutdown()
            self._sockets.close()
            raise

    def _listen(self, app: Application, settings: ServerSettings) -> Iterator[_Listener]:
        shared = {"dispatcher": self._workers, "adj": settings}
        if settings.unix_socket:
            where = (socket.AF_UNIX, socket.SOCK_STREAM, None, None)
            with _named(settings.unix_socket):
                listener = UnixListener(app, self._sockets, sockinfo=where, **shared)
            yield listener
        elif settings.sockets:
            for given in settings.sockets:
                kind = UnixListener if given.family == socket.AF_UNIX else TcpListener
                where = (given.family, given.type, given.proto, given.getsockname())
                yield kind(app, self._sockets, True, given, sockinfo=where, bind_socket=False, **shared)
        else:
            for where in settings.listen:
                with _named("{}:{}".format(*where[3][:2])):
                    listener = TcpListener(app, self._sockets, sockinfo=where, **shared)
                yield listener

    def _add_admin_listeners(self, app: Application, admin: ServerSettings) -> None:
        try:
            added = list(self._listen(app, admin))
        except CannotListen as error:
            raise CannotListen(f"admin_listen: {error}") from None
        for listener in self.listeners:
            listener.is_admin = False
        for listener in added:
            listener.is_admin = True
        self.listeners += added

    @property
    def addresses(self) -> list[str]:
        """Where it listens, as URLs."""
        return [
            f"unix:{listener.effective_port}"
            if listener.family == socket.AF_UNIX
            else "http://{}:{}".format(
                f"[{host}]" if ":" in (host := listener.effective_host) else host, listener.effective_port
            )
            for listener in self.listeners
        ]

    @property
    def effective_port(self) -> str:
        """The port of the first address."""
        return self.listeners[0].effective_port

    def run(self) -> None:
        """Serve until `stop`, then let running requests end, and close."""
        try:
            while not self._ending:
                self._turn()
        except (KeyboardInterrupt, SystemExit):
            self.stop()
        self._drain()
        self.close()

    def stop(self) -> None:
        """Make `run` end; for other threads and signal handlers."""
        with self._open:
            if not self._ending:
                self._ending = True
                self.listeners[0].pull_trigger()

    @property
    def workers_left(self) -> bool:
        """Whether a request still runs though the server is closed."""
        return bool(self._workers.threads)

    def _turn(self) -> None:
        self._sockets.turn(self.settings.asyncore_loop_timeout)

    def _channels(self) -> list[Channel]:
        return [channel for listener in self.listeners for channel in listener.active_channels.values()]

    def _drain(self) -> None:
        """Accept nobody, close idle connections, and wait for the busy ones as long as the settings allow."""
        for listener in self.listeners:
            listener.ending = True
            wasyncore.dispatcher.close(listener)
        end = time.monotonic() + self.settings.drain_timeout
        is_told = False
        while time.monotonic() < end:
            for listener in self.listeners:
                listener.maintenance(time.time())
            channels = self._channels()
            if not (busy := sum(channel.busy for channel in channels)):
                return
            if not is_told:
                is_told = True
                log.warning(_DRAINING, busy, self.settings.drain_timeout)
            for channel in channels:
                if not channel.busy:
                    channel.cut()
            self._turn()
        if busy := sum(channel.busy for channel in self._channels()):
            log.warning("ended %d requests that ran for too long", busy)

    def close(self) -> None:
        """Close every connection and end the workers; not while `run` runs."""
        for channel in self._channels():
            channel.handle_close()
        self._workers.shutdown()
        with self._open:
            self._ending = True
            for listener in self.listeners:
                listener.trigger.close()
        self._sockets.close()


def create_server(app: Application, **given: Any) -> Server:
    """Make a server that listens; `given` are the tunables of ServerSettings.

    Raises:
        ServerSettingsError: one is unknown or wrong.
        CannotListen: the address is taken, or not ours.
    """
    return Server(app, ServerSettings(**given))


def serve(app: Application, global_config: Mapping[str, str], **given: str) -> None:
    """Serve until SIGTERM or SIGINT; what `[server:main]` calls. `given`: tunables, which may hold `${...}`.

    An application whose attribute `loopback_only` holds a sentence is not served to other machines, and sees
    for itself what proxies say. One whose attribute `admin_listen` holds HOST:PORT or unix:PATH is served
    there too; the entry `calotype.admin` of the WSGI environment tells it which requests came that way.
    One that has the methods `start_serving` and `stop_serving` has them called before the first request
    and after the last one. It may be behind filters.
    The first signal lets running requests end, a second one ends the process at once. After the first one
    the process ends within `drain_timeout` + `end_timeout` seconds: see `ending`.

    Raises:
        ServerError, SettingsError: with one sentence, when it cannot start. SystemExit would not do, because
            Pyramid's pserve takes it for the end of a server that has served.
    """
    before = threading.enumerate()  # such as pserve's own, which watch files for --reload
    settings = _read_settings(global_config, given)
    reason = _wish(app, "loopback_only")
    if reason:
        # waitress would remove what a proxy says, and with it the sign that there is a proxy.
        settings.clear_untrusted_proxy_headers = False
    admin = _admin_settings(app, settings)
    beyond = [*settings.beyond_loopback(), *(admin.beyond_loopback() if admin else ())] if reason else []
    if beyond:
        raise ServerSettingsError(f"cannot listen on {beyond[0]}: {reason}")
    _allow_descriptors(settings.connection_limit)
    _keep_little_memory()
    server = Server(app, settings, admin)
    deadline = Deadline()
    _end_on_signals(server, deadline)
    served = _behind_filters(app, "start_serving")
    if served is not None:
        served.start_serving()
    _share_the_interpreter()
    log.info("listening on %s", " ".join(server.addresses))
    server.run()
    deadline.within(settings.end_timeout)
    if served is not None:
        served.stop_serving()
    if running(since=before):
        end_now(1 if server.workers_left else 0)


def _share_the_interpreter() -> None:
    """Let no thread wait long for Python's lock, and no request for a look at what stays for ever."""
    sys.setswitchinterval(_SWITCH_INTERVAL)
    gc.collect()
    gc.freeze()


def _read_settings(global_config: Mapping[str, str], given: Mapping[str, str]) -> ServerSettings:
    """Read the section's settings.

    Raises:
        ServerSettingsError, SettingsError: with the place in the ini file.
    """
    ini, key = global_config.get("__file__"), ""
    try:
        texts = {}
        for key, value in given.items():
            texts[key] = expand(key, value, global_config)
        return ServerSettings(**texts)
    except ServerSettingsError as error:
        place = located(ini, error.key, section="server")
        source = told_sources(given.get(error.key, ""), global_config)
        raise ServerSettingsError(f"{place}{error}{source}", error.key) from None
    except SettingsError as error:
        raise SettingsError(f"{place_of(error, key, global_config, 'server')}{error}") from None


@contextlib.contextmanager
def _named(where: str) -> Iterator[None]:
    """Name the place when nobody can listen there, and what may be done.

    Raises:
        CannotListen: nobody can.
    """
    try:
        yield
    except OSError as error:
        cure = _CURES.get(error.errno or 0, "")
        raise CannotListen(f"cannot listen on {where}: {error.strerror or error}{cure}") from error


def _admin_settings(app: Application, settings: ServerSettings) -> ServerSettings | None:
    where = _wish(app, "admin_listen")
    try:
        return settings.listening_at(where) if where else None
    except ServerSettingsError as error:
        raise ServerSettingsError(f"admin_listen: {error.reason}") from None


def _wish(app: Application, name: str) -> str | None:
    """Return an attribute of the application, be it behind filters; None if it has none of that name."""
    return getattr(_behind_filters(app, name), name, None)


def _behind_filters(app: Application, name: str) -> Any:
    """Return the application itself, which has an attribute of that name; None if there is no such one.

    Filters that stand before an application, such as keystonemiddleware, hide its attributes. So what
    they hold is looked through too.
    """
    seen: set[int] = set()
    unseen: list[Any] = [app]
    while unseen and len(seen) < _FILTER_PARTS:
        part = unseen.pop(0)
        seen.add(id(part))
        if hasattr(part, name):
            return part
        unseen += [one for one in _held_by(part) if callable(one) and id(one) not in seen]
    return None


def _held_by(part: Any) -> Iterator[Any]:
    """Everything that an object's attributes or a function's closure refer to; nothing for a class."""
    if not isinstance(part, type):
        yield from getattr(part, "__dict__", {}).values()
        for cell in getattr(part, "__closure__", None) or ():
            with contextlib.suppress(ValueError):  # it is empty
                yield cell.cell_contents


def _end_on_signals(server: Server, deadline: Deadline) -> None:
    if threading.current_thread() is not threading.main_thread():
        return

    def end(number: int, frame: object) -> None:
        for ours in (signal.SIGTERM, signal.SIGINT):
            signal.signal(ours, signal.SIG_DFL)
        deadline.within(server.settings.drain_timeout + server.settings.end_timeout)
        server.stop()

    for ours in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ours, end)


def _allow_descriptors(connections: int) -> None:
    """Raise the process's own limit, as far as it may, to what connections, files and stores need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * connections + 256
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _keep_little_memory() -> None:
    """Tell the C library, where it is glibc, to keep little of what is freed."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in _MALLOC_OPTIONS.items():
            mallopt(option, value)
