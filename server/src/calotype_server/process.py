"""A process that serves one application: its checks, system limits, memory, and how many processes serve."""

from __future__ import annotations

import ctypes
import logging
import resource
import signal
import threading
from collections.abc import Mapping
from types import FrameType
from wsgiref.types import WSGIApplication

from calotype_server import notify, reload
from calotype_server.ending import end_now, leaves_threads
from calotype_server.errors import ServerSettingsError
from calotype_server.hooks import Hooks, hooks_of
from calotype_server.serving import Ending, Serving, run
from calotype_server.settings import ServerSettings
from calotype_server.supervisor import supervise

log = logging.getLogger(__name__)

#: Options of glibc's mallopt. M_ARENA_MAX: with the default of an arena for each thread, no thread reuses
#: memory that another one has freed, and eight uploads take 15 MiB more. M_MMAP_THRESHOLD: larger blocks,
#: such as parts of uploads, are returned to the system when they are freed. M_TRIM_THRESHOLD: smaller ones
#: are kept until 4 MiB are free, because returning each block of an upload would cost time.
_MALLOC_OPTIONS = {-8: 2, -3: 1 << 20, -1: 4 << 20}


def serve(app: WSGIApplication, settings: ServerSettings) -> None:
    """Serve until SIGTERM or SIGINT, with the settings and callbacks of the application's hooks.

    The first signal lets running requests finish; a second one ends the process at once. After the first one
    the process ends within `drain_timeout` + `end_timeout` seconds: see `ending`. With `processes`, this
    process only starts and replaces others that serve: see `supervisor`.

    Raises:
        ServerError: the server cannot start. SystemExit is not used, because Pyramid's pserve treats it as
            the normal end of a server.
    """
    hooks = hooks_of(app)
    if hooks.loopback_only:
        # Keep the headers of proxies, because the application recognizes a proxy by them.
        settings = settings.changed(clear_untrusted_proxy_headers=False)
    admin = _admin_settings(hooks, settings)
    _refuse_other_machines(hooks, settings, admin)
    _allow_descriptors(settings.connection_limit)
    _keep_little_memory()
    serving = Serving(app, hooks, settings, admin)
    if settings.processes > 1 or reload.is_inherited():
        supervise(serving)
    else:
        _serve_alone(serving)


def _serve_alone(serving: Serving) -> None:
    """Serve in this process, without a supervisor."""
    before = threading.enumerate()  # includes the thread of pserve that watches files for --reload
    server = serving.make_server()
    ending = Ending(server)
    ending.on_signals(signal.SIGTERM, signal.SIGINT)
    _refuse_reload()
    serving.hooks.start_serving()
    log.info("listening on %s", " ".join(server.addresses))
    notify.tell("READY=1", "one process serves")
    run(server, ending, serving)
    if leaves_threads(since=before):
        end_now(1 if server.workers_left else 0)


def _refuse_reload() -> None:
    """Do not end on SIGHUP if a service manager runs this process: `systemctl reload` sends that signal."""

    def refuse(number: int, frame: FrameType | None) -> None:
        log.warning("cannot reload, because one process serves alone (processes = 1): restart the service")

    if notify.is_wanted() and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGHUP, refuse)


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
