"""Discovery: from an entry point of the group `calotype.stores` to a driver class.

Whatever is wrong with a plugin - missing, broken, doubled, not a driver, of another
contract - ends in one ConfigurationError that names the driver and its distribution.
"""

from __future__ import annotations

import importlib.metadata
import inspect
from dataclasses import dataclass

from stevedore import DriverManager
from stevedore.exception import MultipleMatches, NoMatches

from calotype.stores.contract import API_VERSION, Capability, Store
from calotype.stores.errors import ConfigurationError
from calotype.stores.options import StoreOptions

#: The entry-point group that driver distributions fill.
GROUP = "calotype.stores"


@dataclass(frozen=True, slots=True)
class Driver:
    """A loaded driver: its entry-point name, its class, and the distribution it came in."""

    name: str
    store_class: type[Store]
    distribution: str
    version: str


class _Installed(DriverManager):
    """A DriverManager that sees what is installed now.

    stevedore keeps entry points in a cache file that does not notice a plugin
    installed or removed within the same two minutes; this asks the interpreter.
    """

    def list_entry_points(self) -> list[importlib.metadata.EntryPoint]:
        return list(importlib.metadata.entry_points(group=self.namespace))


def installed() -> list[str]:
    """The names of the installed drivers, sorted, without loading any."""
    return sorted({entry.name for entry in importlib.metadata.entry_points(group=GROUP)})


def load(name: str, store: str | None = None) -> Driver:
    """Load the driver of that entry-point name, for the store of that name.

    Raises:
        ConfigurationError: it is not installed, installed twice, broken, or not a driver.
    """
    store = store or name
    try:
        manager = _Installed(
            GROUP,
            name,
            on_load_failure_callback=_fail,
            on_missing_entrypoints_callback=lambda missing: None,  # NoMatches follows
        )
    except NoMatches:
        raise ConfigurationError(
            store, f"no driver '{name}' is installed (installed: {', '.join(installed()) or 'none'})"
        ) from None
    except MultipleMatches:
        owners = ", ".join(sorted(_owners(name)))
        raise ConfigurationError(store, f"driver '{name}' is installed more than once, by {owners}") from None
    except _Broken as broken:
        cause = broken.__cause__
        raise ConfigurationError(
            store, f"driver '{name}' ({broken}) cannot be loaded: {type(cause).__name__}: {cause}"
        ) from cause
    entry = manager.extensions[0].entry_point
    owner = f"of {entry.dist.name} {entry.dist.version}"
    _check_class(store, name, owner, manager.driver)
    return Driver(name, manager.driver, entry.dist.name, entry.dist.version)


class _Broken(Exception):
    """Carries a load failure out of stevedore, which would swallow it."""


def _fail(manager: DriverManager, entry: importlib.metadata.EntryPoint, error: Exception) -> None:
    raise _Broken(f"{entry.value} of {entry.dist.name}") from error


def _owners(name: str) -> set[str]:
    entries = importlib.metadata.entry_points(group=GROUP, name=name)
    return {entry.dist.name for entry in entries}


def _check_class(store: str, name: str, owner: str, candidate: object) -> None:
    """Refuse what does not keep the contract's shape, with a sentence about it."""

    def refuse(reason: str) -> ConfigurationError:
        return ConfigurationError(store, f"driver '{name}' ({owner}) {reason}")

    if not (isinstance(candidate, type) and issubclass(candidate, Store)):
        raise refuse("is not a subclass of calotype.stores.Store")
    if not _is_version(candidate.api_version):
        raise refuse("has an api_version that is not a pair of integers")
    major, minor = candidate.api_version
    if major != API_VERSION[0] or minor > API_VERSION[1]:
        raise refuse(
            f"was written for version {major}.{minor} of the driver contract; "
            f"this core has {API_VERSION[0]}.{API_VERSION[1]}"
        )
    if not (isinstance(candidate.Options, type) and issubclass(candidate.Options, StoreOptions)):
        raise refuse("has Options that are not a subclass of calotype.stores.StoreOptions")
    missing = sorted(candidate.__abstractmethods__)
    if missing:
        raise refuse(f"lacks {', '.join(missing)}")
    if Capability.WRITE in candidate.capabilities and candidate.locate is Store.locate:
        raise refuse("declares WRITE and lacks locate, which must return the location that add returns")
    for method, expected in inspect.getmembers(Store, inspect.isfunction):
        if method.startswith("_") and method != "__init__":
            continue
        if not _accepts(getattr(candidate, method), expected):
            raise refuse(
                f"has {method}{inspect.signature(getattr(candidate, method))} "
                f"where the contract calls {method}{inspect.signature(expected)}"
            )


def _is_version(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(part, int) for part in value)


def _accepts(given: object, expected: object) -> bool:
    """Whether `given` can be called in each way the contract calls `expected`."""
    signature = inspect.signature(given)
    parameters = list(inspect.signature(expected).parameters.values())
    required = [p.name for p in parameters if p.default is inspect.Parameter.empty]
    try:
        signature.bind(*required)
        signature.bind(*(p.name for p in parameters))
    except TypeError:
        return False
    return True
