"""The catalog: the configured stores, by name.

`calotype.stores` names them; `store.NAME.driver` picks a driver (default: the one of
the store's own name); the other `store.NAME.*` keys are the driver's options. When
`calotype.stores` is unset, every installed driver whose options are complete is on.
A named store that cannot be built stops the start; a driver that only happens to be installed
never does. A store that breaks later answers for itself, and the rest goes on.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from calotype.config.messages import did_you_mean, quoted
from calotype.config.options import written
from calotype.config.quantities import Size
from calotype.stores import discovery
from calotype.stores.bulkhead import Bounds, Bulkhead
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import Capability
from calotype.stores.discovery import Driver, blamed, lacks_locate
from calotype.stores.errors import ConfigurationError, UnsupportedScheme, UnusableDriver
from calotype.stores.options import read_options

log = logging.getLogger(__name__)

#: What a store may be called: it stands in headers, in rows and in ini keys.
NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)
_ACCEL = re.compile(r"/(?:[A-Za-z0-9._-]+/)*", re.ASCII)
#: Keys of `store.NAME.*` that are the core's own and never reach the driver.
#: read_only: take WRITE and DELETE from the driver. create: make its place at start.
#: redirect: send clients to the store where it gives out URLs. accel: the internal path under
#: which the proxy in front (nginx, X-Accel-Redirect) has the store's files.
#: scrub: let the scrubber read the store (default). scrub_rate: at so many bytes a second.
#: description, weight: what /v2/info/stores says of it; of two stores the one with more weight comes first.
#: Those of Bounds: how much of the process the store may hold.
CORE_KEYS = (
    "driver",
    "read_only",
    "create",
    "redirect",
    "accel",
    "scrub",
    "scrub_rate",
    "description",
    "weight",
    *Bounds.model_fields,
)


@dataclass(frozen=True)
class Entry:
    """A store that is on: the checked store, its driver, and whether to create its place at start.

    `description` and `weight` are for clients that choose a store.
    """

    store: CheckedStore
    driver: Driver
    create: bool = False
    description: str = ""
    weight: int = 0
    read_only: bool = False

    def core_options(self) -> dict[str, str]:
        """The store's keys that the core reads, as an ini file has them; unset ones are left out."""
        store = self.store
        values = {
            "read_only": self.read_only,
            "create": self.create,
            "redirect": store.redirect,
            "accel": store.accel,
            "scrub": store.scrub,
            "scrub_rate": store.scrub_rate,
            "description": self.description or None,
            "weight": self.weight,
        }
        shown = {name: written(value) for name, value in values.items() if value is not None}
        return {**shown, **store.bulkhead.bounds.shown()}


@dataclass
class Catalog:
    """The stores that are on, in order; `off` tells of installed drivers that are not, and why."""

    entries: dict[str, Entry] = field(default_factory=dict)
    default: str | None = None
    off: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[CheckedStore]:
        return (entry.store for entry in self.entries.values())

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def __getitem__(self, name: str) -> CheckedStore:
        """The store of that name; raises KeyError when none is on."""
        return self.entries[name].store

    def external(self, uri: str) -> CheckedStore:
        """The store that takes this URI from a client.

        Raises:
            UnsupportedScheme: no store, or more than one, declares EXTERNAL for its scheme.
        """
        scheme = uri.partition(":")[0].lower()
        takers = [s for s in self if s.can(Capability.EXTERNAL) and scheme in s.schemes]
        if len(takers) != 1:
            shown = scheme if re.fullmatch(r"[a-z][a-z0-9+.-]{0,30}", scheme, re.ASCII) else "that"
            raise UnsupportedScheme(f"External sources are not supported: no store takes {shown} locations")
        return takers[0]

    def close(self) -> None:
        """Close every store; one that fails, or hangs, keeps none of the others from it."""
        for store in self:
            try:
                store.close()
            except (Exception, SystemExit):
                log.exception("store '%s': its driver could not be closed", store.name)


def build_catalog(
    names: tuple[str, ...] | None,
    default: str | None,
    options: Mapping[str, Mapping[str, str]],
    algorithms: tuple[str, ...],
) -> Catalog:
    """Build the stores that the settings name, or every complete one when they name none.

    Args:
        names: the value of `calotype.stores`; None when unset.
        default: the value of `calotype.default_store`; None when unset.
        options: store name -> its `store.NAME.*` keys and their text.
        algorithms: the digests to compute for each upload.

    Raises:
        ConfigurationError: a named store cannot be built, or the default is not among the stores.
    """
    catalog = Catalog()
    if names is None:
        _add_complete(catalog, options, algorithms)
    else:
        unused = sorted(set(options) - set(names))
        if unused:
            hint = did_you_mean(unused[0], names)
            raise ConfigurationError(unused[0], f"it has options but is not named in calotype.stores{hint}")
        for name in names:
            if name in catalog:
                raise ConfigurationError(name, "calotype.stores names it twice")
            catalog.entries[name] = _build(name, options.get(name, {}), algorithms)
    catalog.default = _choose_default(catalog, default, named=names is not None)
    return catalog


def _add_complete(catalog: Catalog, options: Mapping, algorithms: tuple[str, ...]) -> None:
    for name in sorted({*options, *discovery.installed()}):
        given = options.get(name, {})
        try:
            driver = discovery.load(given.get("driver", name), name)
            with blamed(name, driver):
                missing = driver.store_class.Options.missing(given)
            if missing:
                catalog.off[name] = f"option {', '.join(missing)} is missing"
            else:
                catalog.entries[name] = _build(name, given, algorithms)
        except ConfigurationError as error:
            if given and not isinstance(error, UnusableDriver):
                raise  # what the operator has written is wrong
            catalog.off[name] = error.reason
            log.warning("%s: the store is off", error)


def _build(name: str, given: Mapping[str, str], algorithms: tuple[str, ...]) -> Entry:
    if not NAME.fullmatch(name):
        raise ConfigurationError(name, "a store's name is lower-case letters, digits, - and _, at most 63")
    driver = discovery.load(given.get("driver", name), name)
    own = {key: value for key, value in given.items() if key not in CORE_KEYS}
    bounds = read_options(name, Bounds, {key: given[key] for key in Bounds.model_fields if key in given})
    read_only = _flag(name, given, "read_only")
    with blamed(name, driver):
        options = read_options(name, driver.store_class.Options, own, CORE_KEYS)
        naive = driver.store_class(name, options)
        if not isinstance(naive.capabilities, Capability) or lacks_locate(naive):
            raise TypeError("its instance does not keep the contract")
        store = CheckedStore(
            naive, read_only=read_only, algorithms=algorithms, bulkhead=Bulkhead(name, bounds)
        )
    store.redirect = _flag(name, given, "redirect")
    store.scrub = _flag(name, given, "scrub", default="true")
    store.scrub_rate = _bytes(name, given, "scrub_rate")
    store.accel = given.get("accel") or None
    if store.accel is not None and not _ACCEL.fullmatch(store.accel):
        raise ConfigurationError(
            name,
            f"option accel: it must be a proxy's internal path, as /internal/, not {quoted(store.accel)}",
            option="accel",
        )
    return Entry(
        store,
        driver,
        create=_flag(name, given, "create"),
        description=given.get("description", ""),
        weight=_value(name, given, "weight", int, "an integer") if "weight" in given else 0,
        read_only=read_only,
    )


def _flag(store: str, given: Mapping[str, str], key: str, default: str = "false") -> bool:
    return _value(store, given, key, bool, "true or false") if key in given else default == "true"


def _bytes(store: str, given: Mapping[str, str], key: str) -> int | None:
    rate = Annotated[Size, Field(gt=0)]
    return _value(store, given, key, rate, "a size above 0, as 4MiB") if key in given else None


def _value(store: str, given: Mapping[str, str], key: str, kind: Any, wanted: str) -> Any:
    try:
        return TypeAdapter(kind).validate_python(str(given[key]))
    except ValidationError:
        reason = f"option {key}: it must be {wanted}, not {quoted(given[key])}"
        raise ConfigurationError(store, reason, option=key) from None


def _choose_default(catalog: Catalog, default: str | None, *, named: bool) -> str | None:
    writable = [store.name for store in catalog if store.can(Capability.WRITE)]
    if default is None:
        return "file" if "file" in writable else writable[0] if len(writable) == 1 else None
    if default in catalog:
        return default
    if named:
        hint = did_you_mean(default, catalog.entries)
        reason = f"calotype.default_store names it, but it is not in calotype.stores{hint}"
        raise ConfigurationError(default, reason)
    log.warning("calotype.default_store names '%s', which is not installed or not complete", default)
    return default
