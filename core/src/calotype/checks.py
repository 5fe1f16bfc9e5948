"""The checks at the start of a process that serves: the schema, the places of stores, warnings."""

from __future__ import annotations

import configparser
import importlib.util
import logging
from collections.abc import Sequence

from calotype.config.messages import located
from calotype.config.settings import Settings
from calotype.database import migrate
from calotype.database.database import Database
from calotype.extensions import Extension, branches_of
from calotype.identity.exposure import find_exposed
from calotype.identity.token_file import find_missing_tokens
from calotype.service import Service
from calotype.transfers.fsck.absent import find_unreadable

log = logging.getLogger(__name__)


def check_start(service: Service) -> None:
    """Prepare the schema, examine the places, and log warnings about files and settings.

    Raises:
        SettingsError, ConfigurationError, DatabaseError, TokensUnreadable: the service cannot start.
    """
    settings = service.settings
    warnings = [*find_missing_tokens(settings)]
    prepare_schema(service.database, settings, service.extensions)
    open_places(service)
    warnings += find_exposed(settings, service.stores)
    warnings += find_unreadable(service.database, service.stores)
    for sentence in warnings:
        log.warning("%s", sentence)
    _warn_of_no_filter(settings)
    if settings.identity == "none":
        log.info(
            "%scalotype.identity is none, so every caller is an administrator; set it to tokens or keystone "
            "to ask callers for tokens",
            located(settings.ini_file, "calotype.identity"),
        )


def open_places(service: Service) -> None:
    """Examine the places of all stores."""
    service.places.start(named=service.settings.stores is not None)


def prepare_schema(database: Database, settings: Settings, extensions: Sequence[Extension]) -> None:
    """Upgrade the database's schema if the settings say so, or else require the newest one.

    Raises:
        DatabaseError: the schema is not the newest one, or cannot be upgraded.
    """
    branches = branches_of(extensions)
    if settings.migrate:
        migrate.upgrade(database.engine, branches)
    else:
        migrate.require_newest(database.engine, branches)


def _warn_of_no_filter(settings: Settings) -> None:
    """Log a warning if identity is `keystone`, but no filter in the pipeline checks tokens."""
    if settings.identity != "keystone" or settings.ini_file is None:
        return
    ini = configparser.ConfigParser(interpolation=None, strict=False)
    ini.read(settings.ini_file)
    filters = [
        name
        for name in ini.sections()
        if name.startswith("filter") and any("keystonemiddleware" in value for value in ini[name].values())
    ]
    used = (ini[name].get(key, "") for name in ini.sections() for key in ("pipeline", "filter-with"))
    words = {word for text in used for word in text.split()}
    if not any(name.startswith("filter-app:") or name.partition(":")[2] in words for name in filters):
        log.warning(
            "%scalotype.identity: keystone needs the filter of keystonemiddleware%s in the pipeline, before "
            "the application. Without it, every request that needs a token gets 401: see docs/keystone.md",
            located(settings.ini_file, "calotype.identity"),
            "" if importlib.util.find_spec("keystonemiddleware") else ", which is not installed,",
        )
