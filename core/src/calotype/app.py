"""The WSGI application: `main` and the functions that it calls assemble the service."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pyramid.config import Configurator
from pyramid.router import Router

from calotype.api.http.allowed_methods import refuse_other_methods
from calotype.api.http.metrics import Metrics
from calotype.api.http.request import Parts, Request
from calotype.checks import check_start, open_places
from calotype.config.interpolation import ARGUMENTS, SettingsError
from calotype.config.messages import did_you_mean, located, with_arguments
from calotype.config.plugins import Installed
from calotype.config.section import read_settings
from calotype.config.settings import Settings
from calotype.database.errors import DatabaseError
from calotype.database.opening import open_database
from calotype.events import feed, webhooks
from calotype.extensions import load_extensions, mount, work_of
from calotype.identity.security import make_security
from calotype.identity.token_file import TokensUnreadable
from calotype.images import download_counts
from calotype.images.lifecycle import Lifecycle
from calotype.model import policy
from calotype.service import Service
from calotype.starting import CHECKED, FORKS, run_apart
from calotype.stores.catalog import Catalog, build_catalog
from calotype.stores.errors import ConfigurationError, UnusableDriver
from calotype.transfers.heartbeat import INTERVAL, Heartbeat
from calotype.transfers.places import Places
from calotype.transfers.probes import Probes
from calotype.transfers.workers import Background, Scope, Work

log = logging.getLogger(__name__)

#: Seconds between two checks for a job that another process has recorded.
_JOB_INTERVAL = 1
#: Seconds between two times at which a process lets the others know its gauges.
_PUBLISH_INTERVAL = 2
#: Seconds between two checks for copies that a scrubber must read. While copies are due, it does not wait.
_SCRUB_INTERVAL = 300


def main(global_config: Mapping[str, str], **given: str) -> Application:
    """Return the WSGI application, or end the process with one sentence that says why it cannot start.

    If the server forks (`FORKS`), this process makes its parts only to share their code with the others.
    Then the checks run in a process of their own, and the forked processes do not repeat them.
    """

    def make(check: Callable[[Service], None]) -> Process:
        with _ended_by_mistakes(global_config):
            return make_process(global_config, given, check)

    def check_apart(service: Service) -> None:
        def check() -> None:
            with _ended_by_mistakes(global_config):
                check_start(service)

        run_apart(check)

    def skip(service: Service) -> None:
        """Check nothing, because a trial has just done so."""

    forks = global_config.get(FORKS)
    if forks is None:
        return Application(partial(make, check_start))
    return Application(partial(make, open_places), partial(make, skip if forks == CHECKED else check_apart))


@contextlib.contextmanager
def _ended_by_mistakes(global_config: Mapping[str, str]) -> Iterator[None]:
    """End the process with one sentence if the service cannot start."""
    try:
        yield
    except (SettingsError, ConfigurationError, DatabaseError, TokensUnreadable) as error:
        typed = global_config.get(ARGUMENTS, global_config.get("__file__", ""))
        raise SystemExit(f"calotype: {with_arguments(str(error), typed.replace('%%', '%'))}") from None


@dataclass(frozen=True)
class Process:
    """The parts of one serving process."""

    service: Service
    heartbeat: Heartbeat
    background: Background
    router: Router

    def close(self) -> None:
        """Close all parts. The background work ends first, because it uses the others."""
        self.background.close()
        self.heartbeat.end()
        self.service.close()


class Application:
    """The WSGI application. Its background work starts when the process begins to serve.

    A process begins to serve when the server calls `start_serving`, or else at the first request. After that,
    the process must not fork. A process that was forked earlier, as gunicorn does with `preload_app`, makes
    its own parts, because threads, connections and the owner of leases cannot be shared between processes.
    """

    def __init__(self, make: Callable[[], Process], make_first: Callable[[], Process] | None = None):
        """Make the parts of this process with `make_first`, and with `make` those of each forked process."""
        self._make = make
        self._process = (make_first or make)()
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
        return getattr(self._process.router, name)  # Pyramid's commands read its registry

    @property
    def calotype_server(self) -> Application:
        """This application, which has the attributes that the README of calotype-server describes."""
        return self

    def start_serving(self) -> None:
        """Start the background work; a second call in the same process does nothing."""
        with self._starting:
            if self._served_by == os.getpid():
                return
            if self._made_by != os.getpid():
                self._process, self._made_by = self._make(), os.getpid()
            self._process.background.start()
            self._served_by = os.getpid()

    def stop_serving(self) -> None:
        """Close the threads and connections of this process once. Those of its parent process stay open."""
        if self._made_by == os.getpid():
            self._made_by = None
            self._process.close()


def make_process(
    global_config: Mapping[str, str],
    given: Mapping[str, str],
    check: Callable[[Service], None] | None = None,
) -> Process:
    """Return the parts of a process that serves an ini file; no background work runs yet.

    Args:
        check: the checks to make before the rest is made from the service; None: `check_start`.

    Raises:
        SettingsError, ConfigurationError, DatabaseError, TokensUnreadable: the file cannot be served.
    """
    settings = read_settings(global_config, given)
    service = open_service(settings, makes_database=settings.migrate)
    (check or check_start)(service)
    pyramid = {key: value for key, value in given.items() if key.startswith("pyramid.")}
    heartbeat = Heartbeat(service.database, service.lifecycle.owner)
    background, app = plan_background(service, heartbeat), make_app(service, pyramid)
    metrics = Parts.of(app.registry).metrics
    if metrics.is_shared:
        background.add(Work("shared metrics", _PUBLISH_INTERVAL, metrics.publish, Scope.PER_PROCESS))
    return Process(service, heartbeat, background, app)


def plan_background(service: Service, heartbeat: Heartbeat) -> Background:
    """Return the background work of a process: probes, jobs, sweeps, and so on."""
    background = Background()
    settings, lifecycle = service.settings, service.lifecycle

    def sweep() -> bool:
        service.database.keep_reserve()
        return lifecycle.sweep().full

    background.add(Work("heartbeat", INTERVAL, heartbeat.beat, Scope.PER_PROCESS))
    counts = lifecycle.downloads
    background.add(Work("download counts", download_counts.INTERVAL, counts.write, Scope.PER_PROCESS))
    background.add(Work("events", feed.INTERVAL, lifecycle.feed.run, Scope.PER_PROCESS))
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
    for webhook in lifecycle.webhooks(background.ending):
        name = f"webhook-{webhook.name}"
        background.add(Work(name, webhooks.INTERVAL, webhook.run, Scope.PER_DEPLOYMENT))
    for work in work_of(service.extensions, service):
        background.add(work)
    return background


def make_app(service: Service, pyramid: Mapping[str, str] | None = None) -> Router:
    """Return the WSGI application of a service."""
    settings = service.settings
    config = Configurator(
        settings=dict(pyramid or {}),
        exceptionresponse_view=None,  # calotype.api.http.errors has the views for all errors
        request_factory=Request,
    )
    security = make_security(settings)
    config.set_security_policy(security)
    config.set_default_permission(policy.NEVER)  # so that a view without a permission is closed
    metrics = Metrics(service.database, settings.scrub_period)
    metrics.collect_stores(service.stores, service.probes)
    metrics.collect_listeners(service.lifecycle.feed)
    service.lifecycle.copies.observe = metrics.observe_bad_copy
    for store in service.stores:
        store.observe = metrics.observe_store
    parts = Parts(
        settings, service.database, service.stores, service.lifecycle, service.probes, metrics, security
    )
    parts.install(config.registry)

    config.include("calotype.api.http.resources")
    config.include("calotype.api.http.resumption")
    config.include("calotype.api.http.access_log")
    config.include("calotype.api.http.cors")
    config.include("calotype.api.http.errors")
    config.include("calotype.api.http.local")
    config.include("calotype.api.http.targets")
    config.include("calotype.api.http.predicates")
    config.include("calotype.api.http.health")
    config.include("calotype.api.http.events")
    config.include("calotype.api.http.versions")
    config.include("calotype.api.http.openapi")
    config.include("calotype.api.classic.views")
    mount(config, service.extensions)
    refuse_other_methods(config)
    app = config.make_wsgi_app()
    if settings.identity == "none":
        app.loopback_only = (
            "calotype.identity = none makes every caller an administrator, so the server listens "
            "on loopback addresses only; set calotype.identity to tokens or keystone"
        )
    app.admin_listen = settings.admin_listen
    return app


def open_service(settings: Settings, *, makes_database: bool) -> Service:
    """Return the parts that the settings name; nothing is connected yet.

    Args:
        makes_database: True to create a missing SQLite database, as in `open_database`.

    Raises:
        SettingsError, ConfigurationError: one of the parts cannot be made.
    """
    installed = Installed()
    extensions = load_extensions(settings, installed)
    stores = open_stores(settings, installed)
    database = open_database(settings, makes_database=makes_database)
    lifecycle = Lifecycle(database, stores, settings)
    places = Places(database, stores, settings.arguments or "INI")
    probes = Probes(database, stores, settings)
    return Service(settings, database, stores, lifecycle, places, probes, extensions)


def open_stores(settings: Settings, installed: Installed | None = None) -> Catalog:
    """Return the stores that the settings name.

    Args:
        installed: the plugins to choose drivers from; None: those that are installed now.

    Raises:
        SettingsError: a setting that names a store is empty.
        ConfigurationError: a store cannot be built, or a setting names a store that does not exist. The
            message begins with the place in the ini file.
    """
    for key in ("default_store", "staging_store"):
        if getattr(settings, key) == "":
            place = located(settings.ini_file, f"calotype.{key}")
            raise SettingsError(f"{place}calotype.{key} names no store: name one, or remove the line")
    try:
        catalog = build_catalog(
            settings.stores,
            settings.default_store,
            settings.store_options,
            settings.digests,
            installed or Installed(),
        )
    except ConfigurationError as error:
        error.place = located(settings.ini_file, *_keys_of(error, settings))
        raise
    for key in ("default_store", "staging_store"):
        name = getattr(settings, key)
        if name is None or name in catalog:
            continue
        if name not in catalog.off:
            hint = did_you_mean(name, catalog.entries)
            unknown = ConfigurationError(name, f"calotype.{key} names it, but there is no such store{hint}")
            unknown.place = located(settings.ini_file, f"calotype.{key}")
            raise unknown
        if key == "staging_store":  # the catalog warns about the default store
            log.warning("calotype.%s names the store '%s', which is off: %s", key, name, catalog.off[name])
    return catalog


def _keys_of(error: ConfigurationError, settings: Settings) -> Sequence[str]:
    """Return the ini keys that an error may be about, the most likely one first."""
    options = f"store.{error.store}."
    first = "driver" if isinstance(error, UnusableDriver) else error.option
    keys = [f"{options}{first}", options]
    # If `calotype.stores` does not name the default store, the mistake is in `calotype.default_store`.
    is_default = error.store == settings.default_store and error.store not in (settings.stores or ())
    return [*keys, "calotype.default_store"] if is_default else [*keys, "calotype.stores"]
