"""Discovery: from an entry point of the group `calotype.stores` to a driver class.

Whatever is wrong with a plugin - missing, broken, doubled, not a driver, of another
contract, one that ends the process - ends in one UnusableDriver that names the driver and its distribution.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import inspect
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from stevedore import DriverManager, ExtensionManager
from stevedore.exception import MultipleMatches, NoMatches

from calotype.config.messages import did_you_mean
from calotype.config.reading import keys_of
from calotype.stores.contract import API_VERSION, Capability, Store
from calotype.stores.core_options import CoreOptions
from calotype.stores.errors import ConfigurationError, UnusableDriver
from calotype.stores.options import StoreOptions

log = logging.getLogger(__name__)

#: The entry-point group that driver distributions fill.
GROUP = "calotype.stores"
#: Seconds after which the log names a driver whose own code still runs: nothing else tells why a start hangs.
_SLOW = 5.0


@dataclass(frozen=True, slots=True)
class Driver:
    """A loaded driver: its entry-point name, its class, and the distribution it came in."""

    name: str
    store_class: type[Store]
    distribution: str
    version: str


class _Installed(DriverManager[Any]):
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
        UnusableDriver: it is not installed, installed twice, broken, or not a driver.
    """
    store = store or name
    entries = importlib.metadata.entry_points(group=GROUP, name=name)
    owners = ", ".join(sorted({_distribution(entry).name for entry in entries}))
    try:
        with _named_when_slow(store, name, owners):
            manager = _Installed(
                GROUP,
                name,
                on_load_failure_callback=_fail,
                on_missing_entrypoints_callback=lambda missing: None,  # NoMatches follows
            )
    except NoMatches:
        raise UnusableDriver(
            store,
            f"no driver '{name}' is installed (installed: {', '.join(installed()) or 'none'})"
            f"{did_you_mean(name, installed())}",
        ) from None
    except MultipleMatches:
        raise UnusableDriver(store, f"driver '{name}' is installed more than once, by {owners}") from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit too, which stevedore lets through
        cause = error.__cause__ if isinstance(error, _Broken) else error
        target = ", ".join(entry.value for entry in entries)
        raise UnusableDriver(
            store, f"driver '{name}' ({target} of {owners}) cannot be loaded: {type(cause).__name__}: {cause}"
        ) from cause
    found = _distribution(manager.extensions[0].entry_point)
    with blamed(store, name, found.name):
        store_class = _checked_class(store, name, f"of {found.name} {found.version}", manager.driver)
    return Driver(name, store_class, found.name, found.version)


def _distribution(entry: importlib.metadata.EntryPoint) -> importlib.metadata.Distribution:
    """Return where an entry point comes from; only entry points made by hand come from nowhere."""
    if entry.dist is None:
        raise LookupError(f"the entry point {entry.name} belongs to no distribution")
    return entry.dist


@contextlib.contextmanager
def blamed(store: str, driver: str, distribution: str) -> Iterator[None]:
    """Name the driver and its distribution when its code raises anything, or ends the process, or hangs.

    Raises:
        UnusableDriver: it has raised something. The text stays out of the sentence, for it may hold secrets.
    """
    try:
        with _named_when_slow(store, driver, distribution):
            yield
    except (ConfigurationError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise UnusableDriver(
            store, f"driver '{driver}' ({distribution}) failed with {type(error).__name__}"
        ) from error


@contextlib.contextmanager
def _named_when_slow(store: str, driver: str, distribution: str) -> Iterator[None]:
    sentence = "store '%s': driver '%s' (%s) has been loading for %d seconds, and the start waits for it"
    timer = threading.Timer(_SLOW, log.warning, (sentence, store, driver, distribution, _SLOW))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Broken(Exception):
    """Carries a load failure out of stevedore, which would swallow it."""


def _fail(manager: ExtensionManager[Any], entry: importlib.metadata.EntryPoint, error: BaseException) -> None:
    raise _Broken from error


def _checked_class(store: str, name: str, owner: str, candidate: object) -> type[Store]:
    """Return the candidate if it has the shape of the contract.

    Raises:
        UnusableDriver: it has not; the sentence says what is wrong.
    """

    def refuse(reason: str) -> UnusableDriver:
        return UnusableDriver(store, f"driver '{name}' ({owner}) {reason}")

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
    if reserved := sorted(CoreOptions.model_fields.keys() & keys_of(candidate.Options).keys()):
        raise refuse(f"has options that the core reads itself: {', '.join(reserved)}")
    missing = sorted(candidate.__abstractmethods__)
    if missing:
        raise refuse(f"lacks {', '.join(missing)}")
    if lacks_locate(candidate):
        raise refuse("declares WRITE and lacks locate, which must return the location that add returns")
    for method, expected in inspect.getmembers(Store, inspect.isfunction):
        if method.startswith("_") and method != "__init__":
            continue
        if not _accepts(getattr(candidate, method), expected):
            raise refuse(
                f"has {method}{inspect.signature(getattr(candidate, method))} "
                f"where the contract calls {method}{inspect.signature(expected)}"
            )
    return candidate


def lacks_locate(driver: Store | type[Store]) -> bool:
    """Whether a driver that takes uploads cannot say where it puts them.

    A class whose capabilities are a property says so only through its instance.
    """
    declared = driver.capabilities
    own = getattr(driver.locate, "__func__", driver.locate)
    return isinstance(declared, Capability) and Capability.WRITE in declared and own is Store.locate


def _is_version(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(part, int) for part in value)


def _accepts(given: Callable[..., object], expected: Callable[..., object]) -> bool:
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
