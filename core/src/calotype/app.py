"""The application: `main` puts the parts together, in reading order."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyramid.config import Configurator
from pyramid.router import Router

from calotype.api.http.allowed_methods import refuse_other_methods
from calotype.api.http.metrics import Metrics
from calotype.api.http.request import Parts, Request
from calotype.config.interpolation import ARGUMENTS, SettingsError
from calotype.config.messages import located, with_arguments
from calotype.config.section import read_settings
from calotype.config.settings import Settings
from calotype.database import migrate
from calotype.database.database import Database
from calotype.database.errors import DatabaseError
from calotype.database.opening import open_database
from calotype.extensions import Extension, branches_of, load_extensions, mount, work_of
from calotype.identity.exposure import find_exposed
from calotype.identity.security import make_security
from calotype.identity.token_file import TokensUnreadable, find_missing_tokens
from calotype.images.lifecycle import Lifecycle
from calotype.model import policy
from calotype.stores.catalog import Catalog, build_catalog
from calotype.stores.errors import ConfigurationError
from calotype.transfers.heartbeat import INTERVAL, Heartbeat
from calotype.transfers.places import Places
from calotype.transfers.probes import Probes
from calotype.transfers.workers import Background, Scope, Work

log = logging.getLogger(__name__)

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
    warnings = find_missing_tokens(settings)
    service = open_service(settings, makes_database=settings.migrate)
    prepare_schema(service.database, settings, service.extensions)
    service.places.start(named=settings.stores is not None)
    for sentence in (*find_exposed(settings, service.stores), *warnings):
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
    background.add(Work("leases", settings.lease / 3, lifecycle.renewal(), Scope.PER_PROCESS))
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
