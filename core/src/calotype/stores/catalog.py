"""The catalog: the configured stores, by name.

`calotype.stores` names the stores. `store.NAME.driver` selects a driver (default: the driver with the store's
name), and the other `store.NAME.*` keys are the driver's options. If `calotype.stores` is unset, the catalog
has the default store and every store with a key. No other driver is imported. If a store that
`calotype.stores` names cannot be built, the start fails; a store that only has keys is switched off instead.
If a store fails later, only its own requests fail.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from calotype.config.messages import did_you_mean
from calotype.config.plugins import Installed
from calotype.config.reading import keys_of
from calotype.stores import discovery
from calotype.stores.abilities import External
from calotype.stores.bulkhead import Bulkhead
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import WritableStore
from calotype.stores.core_options import CoreOptions
from calotype.stores.discovery import DRIVER, Driver, blamed
from calotype.stores.errors import ConfigurationError, Unavailable, UnsupportedScheme, UnusableDriver
from calotype.stores.options import read_options

log = logging.getLogger(__name__)

#: The form of a store's name. It is narrow, because names appear in headers, database rows and ini keys.
NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)


#: Name of a store -> the text of its `store.NAME.*` keys.
AllOptions = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Entry:
    """A configured store: the checked store, its driver, and the options that the core reads."""

    store: CheckedStore
    driver: Driver
    options: CoreOptions = field(default_factory=CoreOptions)


@dataclass
class Catalog:
    """The configured stores, in order; `off` maps each name that did not become a store to the reason."""

    entries: dict[str, Entry] = field(default_factory=dict)
    default: str | None = None
    off: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[CheckedStore]:
        return (entry.store for entry in self.entries.values())

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def __getitem__(self, name: str) -> CheckedStore:
        """Return the store with this name; raises KeyError if there is none."""
        return self.entries[name].store

    def require(self, name: str) -> CheckedStore:
        """Return the store with this name, for work that waits until the store is available.

        Raises:
            Unavailable: it is off or not configured, for instance because its driver is not installed.
        """
        if name not in self:
            raise Unavailable(name, "it is not configured on this server")
        return self[name]

    def external(self, uri: str) -> CheckedStore:
        """Return the store that accepts this URI from a client.

        Raises:
            UnsupportedScheme: no store, or more than one, accepts external locations with its scheme.
        """
        scheme = uri.partition(":")[0].lower()
        takers = [s for s in self if s.can(External) and scheme in s.schemes]
        if len(takers) != 1:
            shown = scheme if re.fullmatch(r"[a-z][a-z0-9+.-]{0,30}", scheme, re.ASCII) else "that"
            raise UnsupportedScheme(f"External sources are not supported: no store takes {shown} locations")
        return takers[0]

    def switch_off(self, error: ConfigurationError) -> None:
        """Leave a store out, and log the reason."""
        self.off[error.store] = error.reason
        log.warning("%s: the store is off", error)

    def close(self) -> None:
        """Close every store, even if the drivers of some stores fail or hang."""
        for store in self:
            try:
                store.close()
            except (Exception, SystemExit):
                log.exception("store '%s': its driver could not be closed", store.name)


def build_catalog(
    names: tuple[str, ...] | None,
    default: str | None,
    options: AllOptions,
    algorithms: tuple[str, ...],
    installed: Installed,
) -> Catalog:
    """Build the stores that the settings name; if they name none, those with a key and the default store.

    Args:
        names: the value of `calotype.stores`; None if unset.
        default: the value of `calotype.default_store`; None if unset.
        options: store name -> its `store.NAME.*` keys and their text.
        algorithms: the digests to compute for each upload.
        installed: the plugins to choose drivers from.

    Raises:
        ConfigurationError: a named store cannot be built, or the default is not among the stores.
    """
    catalog = Catalog()
    if names is None:
        _add_mentioned(catalog, default, options, algorithms, installed)
    else:
        _check_names(names, options, installed)
        for name in names:
            if name in catalog:
                raise ConfigurationError(name, "calotype.stores names it twice")
            catalog.entries[name] = _build(name, options.get(name, {}), algorithms, installed)
    catalog.default = _choose_default(catalog, default, named=names is not None)
    return catalog


def _check_names(names: tuple[str, ...], options: AllOptions, installed: Installed) -> None:
    """Require that names are separated in the right way, and that stores with options are among them."""
    for name in names:
        if re.search("[;:|+&]", name):
            raise ConfigurationError(name, "the names in calotype.stores are separated by blanks or commas")
    unused = sorted(set(options) - set(names))
    if not unused:
        return
    # A name without options and without a driver is probably the misspelt one of two that are similar.
    for name in sorted(set(names) - set(options) - set(installed.names(DRIVER))):
        if hint := did_you_mean(name, unused):
            raise ConfigurationError(name, f"calotype.stores names it, but there is no such store{hint}")
    hint = did_you_mean(unused[0], names)
    raise ConfigurationError(unused[0], f"it has options but is not named in calotype.stores{hint}")


def _add_mentioned(
    catalog: Catalog,
    default: str | None,
    options: AllOptions,
    algorithms: tuple[str, ...],
    installed: Installed,
) -> None:
    for name in sorted({*options, *installed.names(DRIVER)}):
        if name not in options and name != default:
            catalog.off[name] = f"no key store.{name}.* is set"
            continue
        given = options.get(name, {})
        try:
            driver = discovery.load(installed, given.get("driver", name), name)
            if missing := _only_missing(name, driver, given):
                catalog.switch_off(ConfigurationError(name, f"option {', '.join(missing)} is missing"))
            else:
                catalog.entries[name] = _build(name, given, algorithms, installed)
        except ConfigurationError as error:
            if given and not isinstance(error, UnusableDriver):
                raise  # the operator's own settings are wrong
            catalog.switch_off(error)


def _only_missing(name: str, driver: Driver, given: Mapping[str, str]) -> list[str]:
    """Return the missing required options; [] if an option is unknown, because that must stop the start."""
    with blamed(name, driver):
        options = driver.store_class.Options
        missing = options.missing(given)
        return missing if {*CoreOptions.model_fields, *keys_of(options)} >= set(given) else []


def _build(name: str, given: Mapping[str, str], algorithms: tuple[str, ...], installed: Installed) -> Entry:
    if not NAME.fullmatch(name):
        raise ConfigurationError(
            name, "a store's name has 1 to 63 lower-case letters, digits, - and _, and begins with a letter"
        )
    driver = discovery.load(installed, given.get("driver", name), name)
    core_keys = CoreOptions.model_fields.keys()
    core = read_options(name, CoreOptions, {key: given[key] for key in given if key in core_keys})
    with blamed(name, driver):
        own = {key: given[key] for key in given if key not in core_keys}
        options = read_options(name, driver.store_class.Options, own, core_keys)
        naive = driver.store_class(name, options)
        bulkhead = Bulkhead(name, core)
        store = CheckedStore(naive, read_only=core.read_only, algorithms=algorithms, bulkhead=bulkhead)
    store.redirect, store.accel = core.redirect, core.accel
    store.scrub, store.scrub_rate = core.scrub, core.scrub_rate
    return Entry(store, driver, core)


def _choose_default(catalog: Catalog, default: str | None, *, named: bool) -> str | None:
    writable = [store.name for store in catalog if store.can(WritableStore)]
    if catalog.entries and not writable:
        log.warning("no store takes uploads, so each upload gets 400: %s", ", ".join(catalog.entries))
    if default is None:
        return "file" if "file" in writable else writable[0] if len(writable) == 1 else None
    if default in catalog:
        if default not in writable:
            _refuse_default(catalog[default])
        return default
    if named:
        hint = did_you_mean(default, catalog.entries)
        reason = f"calotype.default_store names it, but it is not in calotype.stores{hint}"
        raise ConfigurationError(default, reason)
    log.warning("calotype.default_store names '%s', which is not installed or not complete", default)
    return default


def _refuse_default(store: CheckedStore) -> None:
    """Refuse a default store whose driver takes no uploads. Warn of one that is read-only for a while."""
    if isinstance(store.driver, WritableStore) and WritableStore not in store.driver.withheld:
        log.warning(
            "store '%s' takes no uploads, because store.%s.read_only is set: each upload that names no store "
            "gets 400; set calotype.default_store to a store that takes uploads",
            *(store.name, store.name),
        )
        return
    reason = "it takes no uploads, so it cannot be calotype.default_store: name a store that does"
    raise ConfigurationError(store.name, reason)
