"""A process that serves one application: signals, limits of the system, memory, and an end in time."""

from __future__ import annotations

import ctypes
import gc
import logging
import resource
import signal
import sys
import threading
from collections.abc import Mapping
from wsgiref.types import WSGIApplication

from calotype_server.ending import Deadline, end_now, running
from calotype_server.errors import ServerSettingsError
from calotype_server.hooks import Hooks, hooks_of
from calotype_server.server import Server
from calotype_server.settings import ServerSettings

log = logging.getLogger(__name__)

#: Options of glibc's mallopt. M_ARENA_MAX: with an arena for each thread, as is usual, no thread reuses what
#: another one has freed, and eight uploads take 15 MiB more. M_MMAP_THRESHOLD: larger blocks, such as parts
#: of uploads, go back to the system when they are freed, and leave no holes. M_TRIM_THRESHOLD: smaller ones
#: stay until so much is free; otherwise each block of an upload would be taken and given back.
_MALLOC_OPTIONS = {-8: 2, -3: 1 << 20, -1: 4 << 20}
#: Seconds for which a thread may hold the interpreter's lock while others wait for it. A short request needs
#: the lock some ten times; with Python's own 5 ms it waited that long each time while another one computed.
_SWITCH_INTERVAL = 0.0005


def serve(app: WSGIApplication, settings: ServerSettings) -> None:
    """Serve until SIGTERM or SIGINT, with what the application asks for by its hooks.

    The first signal lets running requests finish; a second one ends the process at once. After the first one
    the process ends within `drain_timeout` + `end_timeout` seconds: see `ending`.

    Raises:
        ServerError: it cannot start. SystemExit would not do, because Pyramid's pserve takes that for the end
            of a server that has served.
    """
    before = threading.enumerate()  # such as pserve's own, which watch files for --reload
    hooks = hooks_of(app)
    if hooks.loopback_only:
        # waitress would remove the headers of a proxy, and with them the sign that there is one.
        settings = settings.changed(clear_untrusted_proxy_headers=False)
    admin = _admin_settings(hooks, settings)
    _refuse_other_machines(hooks, settings, admin)
    _allow_descriptors(settings.connection_limit)
    _keep_little_memory()
    server = Server(app, settings, admin)
    deadline = Deadline()
    _end_on_signals(server, deadline)
    hooks.start_serving()
    _share_the_interpreter()
    log.info("listening on %s", " ".join(server.addresses))
    server.run()
    deadline.within(settings.end_timeout)
    hooks.stop_serving()
    if running(since=before):
        end_now(1 if server.workers_left else 0)


def serve_paste(app: WSGIApplication, global_conf: Mapping[str, str], **settings: str) -> None:
    """Serve as `serve` does: the entry point for PasteDeploy, whose settings are text."""
    serve(app, ServerSettings(**settings))


def _admin_settings(hooks: Hooks, settings: ServerSettings) -> ServerSettings | None:
    """Return the settings of the admin listener; None if the application asks for none.

    Raises:
        ServerSettingsError: its place is not valid, or is also one of the other listeners'.
    """
    if not hooks.admin_listen:
        return None
    try:
        admin = settings.listening_at(hooks.admin_listen)
    except ServerSettingsError as error:
        raise ServerSettingsError(f"admin_listen: {error.reason}") from None
    if admin.overlaps(settings):  # with reuse_port, either would get requests for the other
        raise ServerSettingsError(
            f"admin_listen: {hooks.admin_listen} is also the address of listen: choose another port"
        )
    return admin


def _refuse_other_machines(hooks: Hooks, settings: ServerSettings, admin: ServerSettings | None) -> None:
    """Raise ServerSettingsError if other machines could reach an application that must not be reached."""
    if hooks.loopback_only:
        for host in (*settings.beyond_loopback(), *(admin.beyond_loopback() if admin else ())):
            raise ServerSettingsError(f"cannot listen on {host}: {hooks.loopback_only}")


def _share_the_interpreter() -> None:
    """Let no thread wait long for the interpreter's lock, nor for garbage collection of lasting objects."""
    sys.setswitchinterval(_SWITCH_INTERVAL)
    gc.collect()
    gc.freeze()


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
    """Raise the process's own limit, as far as it may, to what connections and the application need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * connections + 256
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _keep_little_memory() -> None:
    """Make the C library, if it is glibc, keep little of the memory that is freed."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in _MALLOC_OPTIONS.items():
            mallopt(option, value)
