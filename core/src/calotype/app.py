"""The application: `main` puts the parts together, in reading order."""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from dataclasses import dataclass

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.router import Router
from sqlalchemy.exc import ArgumentError

from calotype.background import Background
from calotype.definitions import Metadefs
from calotype.lifecycle import Lifecycle
from calotype.metrics import Metrics
from calotype.places import Places
from calotype.probes import Probes
from calotype.registry import Registry, RegistryError, build_engine, make_reserve, schema
from calotype.settings import Settings, SettingsError, read_settings
from calotype.stores.catalog import Catalog, build_catalog
from calotype.stores.errors import ConfigurationError

#: Seconds between two looks for a job that another process wrote down.
_JOB_INTERVAL = 1
#: Seconds between two looks for a copy that must be checked; when there are any, it goes on by itself.
_SCRUB_INTERVAL = 300


@dataclass(frozen=True)
class Service:
    """The parts of a service, without HTTP."""

    settings: Settings
    registry: Registry
    stores: Catalog
    lifecycle: Lifecycle
    places: Places
    probes: Probes

    def close(self) -> None:
        """End threads and connections."""
        self.lifecycle.close()
        self.stores.close()
        self.registry.close()


def main(global_config: Mapping[str, str], **given: str) -> Router:
    """Make the WSGI application, or end the process with one sentence that says why not."""
    try:
        settings = read_settings(global_config, given)
        if settings.identity == "tokens":
            settings.tokens_path()
        service = open_service(settings)
        prepare_schema(service.registry, settings, global_config.get("__file__", "INI"))
        service.places.start(named=settings.stores is not None)
    except (SettingsError, ConfigurationError, RegistryError) as error:
        raise SystemExit(f"calotype: {error}") from None
    atexit.register(service.close)
    atexit.register(start_background(service).close)
    pyramid = {key: value for key, value in given.items() if key.startswith("pyramid.")}
    return make_app(service, pyramid)


def start_background(service: Service) -> Background:
    """Look at stores, do jobs, sweep and scrub, as often as the settings say."""
    background = Background()
    settings, lifecycle = service.settings, service.lifecycle

    def sweep() -> bool:
        service.registry.keep_reserve()
        return lifecycle.sweep().full

    for probe in service.probes:
        background.every(probe.interval, f"probe of {probe.name}", probe.run)
    for number in range(settings.job_threads):
        background.every(_JOB_INTERVAL, f"jobs-{number}", lifecycle.work)
    if settings.sweep_interval:
        background.every(settings.sweep_interval, "sweeper", sweep)
    for scrubber in lifecycle.scrubbers(background.ending):
        interval = min(_SCRUB_INTERVAL, settings.scrub_period / 10)
        background.every(interval, f"scrubber-{scrubber.store.name}", scrubber.run)
    return background


def make_app(service: Service, pyramid: Mapping[str, str] | None = None) -> Router:
    """Make the WSGI application of a service."""
    settings = service.settings
    config = Configurator(
        settings=dict(pyramid or {}),
        exceptionresponse_view=None,  # calotype.api.errors answers for all of them
    )
    config.registry["calotype.settings"] = settings
    config.registry["calotype.metrics"] = metrics = Metrics(service.registry, settings.scrub_period)
    config.registry["calotype.probes"] = service.probes
    metrics.collect_stores(service.stores, service.probes)
    service.lifecycle.copies.observe = metrics.observe_bad_copy
    for store in service.stores:
        store.observe = metrics.observe_store

    def image_registry(request: Request) -> Registry:
        return service.registry

    def image_lifecycle(request: Request) -> Lifecycle:
        return service.lifecycle

    def image_stores(request: Request) -> Catalog:
        return service.stores

    metadefs = Metadefs(service.registry)

    def metadata_definitions(request: Request) -> Metadefs:
        return metadefs

    config.add_request_method(image_registry, "image_registry", property=True)
    config.add_request_method(image_lifecycle, "lifecycle", property=True)
    config.add_request_method(image_stores, "stores", property=True)
    config.add_request_method(metadata_definitions, "metadefs", property=True)

    config.include("calotype.security")
    config.include("calotype.resources")
    config.include("calotype.api.access")
    config.include("calotype.api.errors")
    config.include("calotype.api.paths")
    config.include("calotype.api.predicates")
    config.include("calotype.api.health")
    config.include("calotype.api.versions")
    config.include("calotype.api.classic.views")
    config.include("calotype.api.v1")
    config.include("calotype.api.v2")
    app = config.make_wsgi_app()
    if settings.identity == "none":
        app.loopback_only = (
            "calotype.identity = none lets everybody in as an administrator, so the server listens "
            "on loopback addresses only; set calotype.identity to tokens or keystone"
        )
    return app


def open_service(settings: Settings) -> Service:
    """The parts that the settings name; nothing is connected yet."""
    stores = open_stores(settings)
    registry = open_registry(settings)
    lifecycle = Lifecycle(registry, stores, settings)
    places, probes = Places(registry, stores), Probes(registry, stores, settings)
    return Service(settings, registry, stores, lifecycle, places, probes)


def open_registry(settings: Settings) -> Registry:
    """The registry that the settings name; connects when first used.

    Raises:
        SettingsError: the database's URL cannot be used, or its driver is not installed.
    """
    try:
        engine = build_engine(
            settings.database_url.get_secret_value(),
            pool_size=settings.pool_size,
            pool_timeout=settings.pool_timeout,
            busy_timeout=settings.busy_timeout,
            answer_timeout=settings.database_timeout,
        )
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"sqlalchemy.url: the module {error.name} is not installed "
            "(pip install 'psycopg[binary]' for PostgreSQL, PyMySQL for MariaDB)"
        ) from None
    except OSError as error:
        raise SettingsError(f"sqlalchemy.url: its directory cannot be made: {error.strerror}") from None
    except ArgumentError:
        raise SettingsError("sqlalchemy.url: it is not the URL of a database that is known here") from None
    return Registry(engine, make_reserve(engine.url, settings.disk_reserve))


def prepare_schema(registry: Registry, settings: Settings, ini: str) -> None:
    """Migrate when the settings say so; otherwise insist that somebody did."""
    if settings.migrate:
        schema.upgrade_apart(registry.engine)
    else:
        schema.require_newest(registry.engine, ini)


def open_stores(settings: Settings) -> Catalog:
    """The stores that the settings name."""
    return build_catalog(settings.stores, settings.default_store, settings.store_options, settings.digests)
