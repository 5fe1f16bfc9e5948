"""The application: `main` puts the parts together, in reading order."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyramid.config import Configurator
from pyramid.router import Router
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from calotype.api.http.allowed_methods import refuse_other_methods
from calotype.api.http.metrics import Metrics
from calotype.api.http.request import Parts, Request
from calotype.config.interpolation import ARGUMENTS, SettingsError
from calotype.config.messages import located, one_line, with_arguments
from calotype.config.section import read_settings
from calotype.config.settings import Settings
from calotype.database import migrate
from calotype.database.database import Database
from calotype.database.disk_reserve import make_reserve
from calotype.database.engine import build_engine, is_missing
from calotype.database.errors import DatabaseError
from calotype.extensions import Extension, branches_of, load_extensions, mount, work_of
from calotype.identity.exposure import find_exposed
from calotype.identity.security import make_security
from calotype.identity.token_file import TokenFile, TokensUnreadable
from calotype.images.lifecycle import Lifecycle
from calotype.model import policy
from calotype.stores.catalog import Catalog, build_catalog
from calotype.stores.errors import ConfigurationError
from calotype.transfers.heartbeat import INTERVAL, Heartbeat
from calotype.transfers.places import Places
from calotype.transfers.probes import Probes
from calotype.transfers.workers import Background, Scope, Work

log = logging.getLogger(__name__)

#: The modules of the databases' drivers that work.
_DRIVERS = ("psycopg", "pymysql")
#: The scheme that works, by the scheme that people write instead.
_SCHEMES = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
#: Seconds between two looks for a job that another process wrote down.
_JOB_INTERVAL = 1
#: Seconds between two looks for a copy that must be checked; when there are any, it goes on by itself.
_SCRUB_INTERVAL = 300


@dataclass(frozen=True)
class Service:
    """The parts of a service, without HTTP."""

    settings: Settings
    database: Database
    stores: Catalog
    lifecycle: Lifecycle
    places: Places
    probes: Probes
    extensions: Sequence[Extension]

    def close(self) -> None:
        """End threads and connections, all of them even if one cannot be ended."""
        with contextlib.ExitStack() as stack:
            for part in (self.database, self.stores, self.lifecycle):
                stack.callback(part.close)


def main(global_config: Mapping[str, str], **given: str) -> Application:
    """Make the WSGI application, or end the process with one sentence that says why not."""

    def make() -> Process:
        try:
            return make_process(global_config, given)
        except (SettingsError, ConfigurationError, DatabaseError, TokensUnreadable) as error:
            typed = global_config.get(ARGUMENTS, global_config.get("__file__", ""))
            raise SystemExit(f"calotype: {with_arguments(str(error), typed.replace('%%', '%'))}") from None

    return Application(make)


@dataclass(frozen=True)
class Process:
    """What one serving process consists of."""

    service: Service
    heartbeat: Heartbeat
    background: Background
    router: Router

    def close(self) -> None:
        """End the background first, because it uses the rest."""
        self.background.close()
        self.heartbeat.end()
        self.service.close()


class Application:
    """The WSGI application. Work beside requests starts when the process begins to serve.

    That is when the server calls `start_serving`, or else at the first request. After that the process
    must not fork. A fork that was made before, as by gunicorn with `preload_app`, makes parts of its own,
    because processes cannot share connections to databases and stores, threads, or the owner of leases.
    """

    def __init__(self, make: Callable[[], Process]):
        self._make = make
        self._process = make()
        self._made_by: int | None = os.getpid()
        self._served_by: int | None = None
        self._starting = threading.Lock()
        atexit.register(self.stop_serving)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        if self._served_by != os.getpid():
            self.start_serving()
        return self._process.router(environ, start_response)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._process.router, name)  # Pyramid's commands ask it for its registry

    @property
    def calotype_server(self) -> Application:
        """Offer our server `start_serving`, `loopback_only` and so on: see the README of calotype-server."""
        return self

    def start_serving(self) -> None:
        """Start what runs beside requests; a second call in the same process does nothing."""
        with self._starting:
            if self._served_by == os.getpid():
                return
            if self._made_by != os.getpid():
                self._process, self._made_by = self._make(), os.getpid()
            self._process.background.start()
            self._served_by = os.getpid()

    def stop_serving(self) -> None:
        """End threads and connections, once, but for those of a process that this one was forked from."""
        if self._made_by == os.getpid():
            self._made_by = None
            self._process.close()


def make_process(global_config: Mapping[str, str], given: Mapping[str, str]) -> Process:
    """Make the parts of a process that serves an ini file; nothing runs beside requests yet.

    Raises:
        SettingsError, ConfigurationError, DatabaseError, TokensUnreadable: it cannot be served.
    """
    settings = read_settings(global_config, given)
    if settings.identity == "tokens":
        TokenFile(settings.tokens_path()).entries()
    service = open_service(settings, makes_database=settings.migrate)
    prepare_schema(service.database, settings, service.extensions)
    service.places.start(named=settings.stores is not None)
    for sentence in find_exposed(settings, service.stores):
        log.warning("%s", sentence)
    pyramid = {key: value for key, value in given.items() if key.startswith("pyramid.")}
    heartbeat = Heartbeat(service.database)
    return Process(service, heartbeat, plan_background(service, heartbeat), make_app(service, pyramid))


def plan_background(service: Service, heartbeat: Heartbeat) -> Background:
    """Register what a process does beside requests: say that it lives, look at stores, do jobs, and so on."""
    background = Background()
    settings, lifecycle = service.settings, service.lifecycle

    def sweep() -> bool:
        service.database.keep_reserve()
        return lifecycle.sweep().full

    background.add(Work("heartbeat", INTERVAL, heartbeat.beat, Scope.PER_PROCESS))
    for probe in service.probes:
        background.add(Work(f"probe of {probe.name}", probe.interval, probe.run, Scope.PER_PROCESS))
    for number in range(settings.job_threads):
        background.add(Work(f"jobs-{number}", _JOB_INTERVAL, lifecycle.work, Scope.PER_DEPLOYMENT))
    if settings.sweep_interval:
        background.add(Work("sweeper", settings.sweep_interval, sweep, Scope.PER_DEPLOYMENT))
    for scrubber in lifecycle.scrubbers(background.ending):
        interval = min(_SCRUB_INTERVAL, settings.scrub_period / 10)
        name = f"scrubber-{scrubber.store.name}"
        background.add(Work(name, interval, scrubber.run, Scope.PER_DEPLOYMENT))
    for work in work_of(service.extensions, service):
        background.add(work)
    return background


def make_app(service: Service, pyramid: Mapping[str, str] | None = None) -> Router:
    """Make the WSGI application of a service."""
    settings = service.settings
    config = Configurator(
        settings=dict(pyramid or {}),
        exceptionresponse_view=None,  # calotype.api.http.errors answers for all of them
        request_factory=Request,
    )
    security = make_security(settings)
    config.set_security_policy(security)
    config.set_default_permission(policy.NEVER)  # so a view that names no permission is closed
    metrics = Metrics(service.database, settings.scrub_period)
    metrics.collect_stores(service.stores, service.probes)
    service.lifecycle.copies.observe = metrics.observe_bad_copy
    for store in service.stores:
        store.observe = metrics.observe_store
    parts = Parts(
        settings, service.database, service.stores, service.lifecycle, service.probes, metrics, security
    )
    parts.install(config.registry)

    config.include("calotype.api.http.resources")
    config.include("calotype.api.http.access_log")
    config.include("calotype.api.http.cors")
    config.include("calotype.api.http.errors")
    config.include("calotype.api.http.local")
    config.include("calotype.api.http.targets")
    config.include("calotype.api.http.predicates")
    config.include("calotype.api.http.health")
    config.include("calotype.api.http.versions")
    config.include("calotype.api.classic.views")
    mount(config, service.extensions)
    refuse_other_methods(config)
    app = config.make_wsgi_app()
    if settings.identity == "none":
        app.loopback_only = (
            "calotype.identity = none lets everybody in as an administrator, so the server listens "
            "on loopback addresses only; set calotype.identity to tokens or keystone"
        )
    app.admin_listen = settings.admin_listen
    return app


def open_service(settings: Settings, *, makes_database: bool) -> Service:
    """The parts that the settings name; nothing is connected yet. As `open_database`."""
    extensions = load_extensions(settings)
    stores = open_stores(settings)
    database = open_database(settings, makes_database=makes_database)
    lifecycle = Lifecycle(database, stores, settings)
    places = Places(database, stores, settings.arguments or "INI")
    probes = Probes(database, stores, settings)
    return Service(settings, database, stores, lifecycle, places, probes, extensions)


def open_database(settings: Settings, *, makes_database: bool) -> Database:
    """The database that the settings name; connects when first used.

    Args:
        makes_database: whether an SQLite file that does not exist, and its directory, are created. Where
            nothing is set up, the path is probably wrong, and a new and empty database would hide that.

    Raises:
        SettingsError: the database's URL cannot be used, its driver is not installed, or there is no such
            file and none is made.
    """
    url = settings.database_url.get_secret_value()
    try:
        if not makes_database and is_missing(url):
            raise SettingsError(f"{_url_place(settings)}{_no_database(settings, url)}")
        engine = build_engine(
            url,
            pool_size=settings.pool_size,
            pool_timeout=settings.pool_timeout,
            busy_timeout=settings.busy_timeout,
            answer_timeout=settings.database_timeout,
        )
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{_url_place(settings)}the module {error.name} is not installed"
            f"{'' if error.name in _DRIVERS else _scheme_that_works(url)} "
            "(pip install 'psycopg[binary]' for PostgreSQL, PyMySQL for MariaDB)"
        ) from None
    except OSError as error:
        reason = f"the directory of its file cannot be made: {error.filename}: {error.strerror}"
        raise SettingsError(f"{_url_place(settings)}{reason}") from None
    except ArgumentError as error:
        reason = (
            f"it is not the URL of a database that is known here{_scheme_that_works(url)} ({one_line(error)})"
        )
        if "parse" in str(error):  # then the text, which may hold a password, is all of the reason
            reason = (
                "it is not a URL, as sqlite:////srv/calotype.sqlite or postgresql+psycopg://user@host/name"
            )
        raise SettingsError(f"{_url_place(settings)}{reason}") from None
    _require_writable(settings, engine.url.database if engine.dialect.name == "sqlite" else None)
    reserve = make_reserve(engine.url, settings.disk_reserve)
    return Database(engine, reserve, keeps_audit=settings.audit_retention > 0)


def _url_place(settings: Settings) -> str:
    return f"{located(settings.ini_file, 'sqlalchemy.url')}sqlalchemy.url: "


def _no_database(settings: Settings, url: str) -> str:
    path, data_dir = make_url(url).database or "", settings.data_dir
    below = data_dir is not None and Path(path).is_relative_to(data_dir)
    keys = "data_dir, or this key," if below else "this key"
    return (
        f"there is no database at {path}: correct {keys} if the path is wrong; to make a new database there, "
        "run `calotype-manage db upgrade INI`"
    )


def _scheme_that_works(url: str) -> str:
    """Return what to write in place of the scheme of a URL that others write so, "" if it is unknown."""
    scheme = url.partition("://")[0].lower()
    works = _SCHEMES.get(scheme.partition("+")[0])
    return f": write {works}:// for {scheme}://" if works and works != scheme else ""


def _require_writable(settings: Settings, file: str | None) -> None:
    """Refuse a file of SQLite's that this user may not change, because every request that changes something
    would fail.

    Raises:
        SettingsError: it is such a file; names whose it is.
    """
    if not file or not os.path.exists(file) or os.access(file, os.R_OK | os.W_OK):
        return
    status = os.stat(file)
    raise SettingsError(
        f"{_url_place(settings)}the user with the id {os.geteuid()} may not read and write {file}, which has "
        f"the owner {status.st_uid} and the mode {stat.S_IMODE(status.st_mode):04o}: change one of them"
    )


def prepare_schema(database: Database, settings: Settings, extensions: Sequence[Extension]) -> None:
    """Migrate when the settings say so; otherwise insist that somebody did."""
    branches = branches_of(extensions)
    if settings.migrate:
        migrate.upgrade(database.engine, branches)
    else:
        migrate.require_newest(database.engine, branches)


def open_stores(settings: Settings) -> Catalog:
    """The stores that the settings name.

    Raises:
        ConfigurationError: one cannot be built; the sentence says where in the ini file its options are.
    """
    try:
        return build_catalog(
            settings.stores, settings.default_store, settings.store_options, settings.digests
        )
    except ConfigurationError as error:
        error.place = located(
            settings.ini_file,
            f"store.{error.store}.{error.option}",
            f"store.{error.store}.",
            "calotype.stores",
        )
        raise
