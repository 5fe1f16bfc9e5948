"""A process that serves one application: its signals, system limits, memory, and the deadline for its end."""

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

#: Options of glibc's mallopt. M_ARENA_MAX: with the default of an arena for each thread, no thread reuses
#: memory that another one has freed, and eight uploads take 15 MiB more. M_MMAP_THRESHOLD: larger blocks,
#: such as parts of uploads, are returned to the system when they are freed. M_TRIM_THRESHOLD: smaller ones
#: are kept until 4 MiB are free, because returning each block of an upload would cost time.
_MALLOC_OPTIONS = {-8: 2, -3: 1 << 20, -1: 4 << 20}
#: Seconds for which a thread may hold the interpreter's lock while others wait for it. A short request takes
#: the lock about ten times. With Python's default of 5 ms, it would wait that long each time while another
#: request computes.
_SWITCH_INTERVAL = 0.0005


def serve(app: WSGIApplication, settings: ServerSettings) -> None:
    """Serve until SIGTERM or SIGINT, with the settings and callbacks of the application's hooks.

    The first signal lets running requests finish; a second one ends the process at once. After the first one
    the process ends within `drain_timeout` + `end_timeout` seconds: see `ending`.

    Raises:
        ServerError: the server cannot start. SystemExit is not used, because Pyramid's pserve treats it as
            the normal end of a server.
    """
    before = threading.enumerate()  # includes the thread of pserve that watches files for --reload
    hooks = hooks_of(app)
    if hooks.loopback_only:
        # Keep the headers of proxies, because the application recognizes a proxy by them.
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
    """Call `serve` with settings that are text. This is the entry point for PasteDeploy."""
    serve(app, ServerSettings(**settings))


def _admin_settings(hooks: Hooks, settings: ServerSettings) -> ServerSettings | None:
    """Return the settings of the admin listener; None if the application asks for none.

    Raises:
        ServerSettingsError: its address is not valid, or is also the address of another listener.
    """
    if not hooks.admin_listen:
        return None
    try:
        admin = settings.listening_at(hooks.admin_listen)
    except ServerSettingsError as error:
        raise ServerSettingsError(f"admin_listen: {error.reason}") from None
    if admin.overlaps(settings):  # with reuse_port, each would get some of the other's requests
        raise ServerSettingsError(
            f"admin_listen: {hooks.admin_listen} is also the address of listen: choose another port"
        )
    return admin


def _refuse_other_machines(hooks: Hooks, settings: ServerSettings, admin: ServerSettings | None) -> None:
    """Raise ServerSettingsError if `loopback_only` is set and other machines could reach the application."""
    if hooks.loopback_only:
        for host in (*settings.beyond_loopback(), *(admin.beyond_loopback() if admin else ())):
            raise ServerSettingsError(f"cannot listen on {host}: {hooks.loopback_only}")


def _share_the_interpreter() -> None:
    """Reduce how long threads wait for the interpreter's lock and for garbage collection."""
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
    """Raise the process's soft limit of descriptors to what connections and the application need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * connections + 256
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _keep_little_memory() -> None:
    """Make glibc keep little freed memory; do nothing with another C library."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in _MALLOC_OPTIONS.items():
            mallopt(option, value)
