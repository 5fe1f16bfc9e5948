"""Discovery: from an entry point of the group `calotype.stores` to a driver class.

If a driver is missing, broken, installed twice, not a Store, or written for another version of the contract,
an UnusableDriver names it, and its distribution if it has one.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeGuard

from calotype.config import plugins
from calotype.config.plugins import Installed, Kind, Plugin, PluginError
from calotype.config.reading import keys_of
from calotype.stores.abilities import ABILITIES
from calotype.stores.contract import API_VERSION, Store, WritableStore
from calotype.stores.core_options import CoreOptions
from calotype.stores.errors import ConfigurationError, UnusableDriver
from calotype.stores.options import StoreOptions

DRIVER = Kind("driver", "calotype.stores")


@dataclass(frozen=True, slots=True)
class Driver:
    """A loaded driver: its entry-point name, its class, and the distribution it came in."""

    name: str
    store_class: type[Store]
    distribution: str
    version: str


def load(installed: Installed, name: str, store: str | None = None) -> Driver:
    """Load the driver with this entry-point name for a store.

    Raises:
        UnusableDriver: the driver is not installed, installed twice, broken, or not a driver.
    """
    store = store or name
    try:
        plugin = plugins.load(installed, DRIVER, name, f"store '{store}': ")
    except PluginError as error:
        cause = error.__cause__
        is_missing = not installed.named(DRIVER, name)
        hint = f": install it, or name another one in store.{store}.driver" if is_missing else _hint(cause)
        raise UnusableDriver(store, f"{error}{hint}") from cause
    driver = Driver(name, plugin.target, plugin.distribution, plugin.version)
    with blamed(store, driver):
        _check_class(store, name, f"of {driver.distribution} {driver.version}", plugin.target)
    return driver


@contextlib.contextmanager
def blamed(store: str, driver: Driver) -> Iterator[None]:
    """Name the driver and its distribution in the error or warning if its code raises or hangs.

    Raises:
        UnusableDriver: the code has raised. The error's text is left out, because it may contain secrets.
    """
    plugin = Plugin(DRIVER, driver.name, driver.store_class, driver.distribution, driver.version)
    try:
        with plugins.blamed(plugin, ConfigurationError, place=f"store '{store}': "):
            yield
    except PluginError as error:
        raise UnusableDriver(store, str(error)) from error.__cause__


def _hint(cause: BaseException | None) -> str:
    """Return an explanation if a driver uses a name that this core does not have, otherwise ""."""
    module = cause.name if isinstance(cause, ImportError) else None
    if isinstance(cause, AttributeError):
        module = getattr(cause.obj, "__name__", None)
    if not isinstance(module, str) or module.partition(".")[0] != "calotype":
        return ""
    # Contract 1 had an enumeration of this name.
    version, wanted = (
        ("version 1", "newer") if "'Capability'" in str(cause) else ("another version", "fitting")
    )
    return (
        f". It was written for {version} of the driver contract, and this core has {_text(API_VERSION)}: "
        f"install a {wanted} version of the driver"
    )


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _check_class(store: str, name: str, owner: str, candidate: object) -> None:
    """Raise an error if a class does not have the methods and attributes of the contract.

    Raises:
        UnusableDriver: the class differs from the contract; the message says how.
    """

    def refuse(reason: str) -> UnusableDriver:
        return UnusableDriver(store, f"driver '{name}' ({owner}) {reason}")

    if not (isinstance(candidate, type) and issubclass(candidate, Store)):
        raise refuse("is not a subclass of calotype.stores.Store")
    version = getattr(candidate, "api_version", None)
    if not _is_version(version):
        raise refuse(
            "has no api_version, which is the version of the driver contract for which it was written, "
            f"such as {API_VERSION}"
        )
    major, minor = version
    if major != API_VERSION[0] or minor > API_VERSION[1]:
        raise refuse(
            f"was written for version {_text(version)} of the driver contract; "
            f"this core has {_text(API_VERSION)}. Install a driver or a core that fits the other"
        )
    if not (isinstance(candidate.Options, type) and issubclass(candidate.Options, StoreOptions)):
        raise refuse("has Options that are not a subclass of calotype.stores.StoreOptions")
    if reserved := sorted(CoreOptions.model_fields.keys() & keys_of(candidate.Options).keys()):
        raise refuse(f"has options that the core reads itself: {', '.join(reserved)}")
    missing = sorted(candidate.__abstractmethods__)
    if missing:
        raise refuse(f"lacks {', '.join(missing)}")
    for base in (Store, WritableStore, *ABILITIES):
        if issubclass(candidate, base):
            _check_signatures(candidate, base, refuse)


def _check_signatures(candidate: type, base: type, refuse: Callable[[str], UnusableDriver]) -> None:
    """Raise an error if a method's signature does not fit the contract's interface `base`."""
    for method, expected in inspect.getmembers(base, inspect.isfunction):
        if method.startswith("_") and method != "__init__":
            continue
        if not _accepts(getattr(candidate, method), expected):
            raise refuse(
                f"has {method}{inspect.signature(getattr(candidate, method))} "
                f"where the contract calls {method}{inspect.signature(expected)}"
            )


def _is_version(value: object) -> TypeGuard[tuple[int, int]]:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(part, int) for part in value)


def _accepts(given: Callable[..., object], expected: Callable[..., object]) -> bool:
    """Return whether `given` can be called in every way in which the contract calls `expected`."""
    signature = inspect.signature(given)
    parameters = list(inspect.signature(expected).parameters.values())
    required = [p.name for p in parameters if p.default is inspect.Parameter.empty]
    try:
        signature.bind(*required)
        signature.bind(*(p.name for p in parameters))
    except TypeError:
        return False
    return True
