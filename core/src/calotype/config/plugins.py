"""Load plugins by their entry points: drivers, dialects and extensions.

If a plugin is missing, is installed twice, fails, or tries to end the process, this module raises a
PluginError that names the plugin.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint, EntryPoints
from typing import Any

from stevedore import DriverManager, ExtensionManager

from calotype.config.messages import did_you_mean, one_line

log = logging.getLogger(__name__)

#: Seconds after which the log names a plugin whose code is still running. Nothing else would explain why the
#: start hangs.
_SLOW = 5.0


class PluginError(Exception):
    """A plugin cannot be used; the message is one sentence that names it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of plugin: its word in messages, and its group of entry points."""

    word: str
    group: str


def _read_installed() -> EntryPoints:
    """Return the entry points in the groups of Calotype."""
    found = importlib.metadata.entry_points()
    # The entry points of all groups would be too many: Python 3.11 copies them all for each `select`.
    groups = [group for group in found.groups if group.startswith("calotype.")]
    return EntryPoints(entry for group in groups for entry in found.select(group=group))


@dataclass(frozen=True, slots=True)
class Installed:
    """The installed plugins, as they were when this object was made.

    Python reads the files of all distributions again for each question, which takes 5 ms or more. So a start
    makes one object and passes it on. The next start makes another, and sees what was installed meanwhile.
    """

    entries: EntryPoints = field(default_factory=_read_installed)

    def named(self, kind: Kind, name: str) -> EntryPoints:
        """Return the entry points of plugins with this name: one, unless it is missing or ambiguous."""
        return self.entries.select(group=kind.group, name=name)

    def names(self, kind: Kind) -> list[str]:
        """Return the names of the installed plugins of a kind, sorted, without loading any."""
        return sorted(self.entries.select(group=kind.group).names)


@dataclass(frozen=True, slots=True)
class Plugin:
    """A loaded plugin: the name and target of its entry point, and its distribution."""

    kind: Kind
    name: str
    target: Any
    distribution: str
    version: str


class _Manager(DriverManager[Any]):
    """A DriverManager that is given its entry points.

    stevedore 5 reads a cache file, which misses plugins installed or removed within the same two minutes.
    """

    def __init__(self, kind: Kind, name: str, entries: EntryPoints):
        self._given = list(entries)
        super().__init__(kind.group, name, on_load_failure_callback=_fail)

    def list_entry_points(self) -> list[EntryPoint]:
        return self._given


def load(installed: Installed, kind: Kind, name: str, place: str = "") -> Plugin:
    """Load the plugin with this name.

    Args:
        place: A prefix of the log line about a slow plugin, such as "store 'fast': ".

    Raises:
        PluginError: the plugin is not installed, is installed twice, or cannot be imported.
    """
    entries = installed.named(kind, name)
    if not entries:  # stevedore would also log a warning
        others = installed.names(kind)
        raise PluginError(
            f"no {kind.word} '{name}' is installed (installed: {', '.join(others) or 'none'})"
            f"{did_you_mean(name, others)}"
        )
    owners = sorted({_distribution(entry).name for entry in entries})
    if len(entries) > 1:
        raise PluginError(f"{kind.word} '{name}' {_choice(owners)}")
    (entry,), (owner,) = entries, owners
    try:
        with _named_when_slow(f"{place}{kind.word} '{name}' ({owner})"):
            manager = _Manager(kind, name, entries)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit too, which stevedore lets through
        cause = error.__cause__ if isinstance(error, _Broken) else error
        raise PluginError(
            f"{kind.word} '{name}' ({entry.value} of {owner}) cannot be loaded: "
            f"{type(cause).__name__}: {one_line(cause)}{_remedy(cause, entry, owner)}"
        ) from cause
    distribution = _distribution(manager.extensions[0].entry_point)
    return Plugin(kind, name, manager.driver, distribution.name, distribution.version)


def _choice(owners: list[str]) -> str:
    """Return the end of a sentence about a plugin that several entry points offer."""
    if len(owners) == 1:
        return f"is offered twice by {owners[0]}: install another version of it"
    return f"is installed more than once, by {', '.join(owners)}: uninstall all but one"


def _remedy(cause: BaseException | None, entry: EntryPoint, owner: str) -> str:
    """Return what to do about a module that is missing, in parentheses; "" for other causes and modules.

    The command names the distribution, because a package may have another name than its modules.
    """
    missing = (cause.name or "").partition(".")[0] if isinstance(cause, ModuleNotFoundError) else ""
    if missing == entry.module.partition(".")[0]:
        return f" (files of {owner} are missing: install it again)"
    if missing in ("", __name__.partition(".")[0]):
        return ""
    return f" (`pip install {owner}` installs what it requires)"


def _distribution(entry: EntryPoint) -> Distribution:
    """Return the distribution of an entry point. Only an entry point that is made by hand has none."""
    if entry.dist is None:
        raise LookupError(f"the entry point {entry.name} belongs to no distribution")
    return entry.dist


@contextlib.contextmanager
def blamed(plugin: Plugin, *allowed: type[BaseException], place: str = "") -> Iterator[None]:
    """Raise a PluginError that names the plugin if its code fails; log its name if the code is slow.

    KeyboardInterrupt and the exceptions in `allowed` pass unchanged.

    Raises:
        PluginError: the code has raised another exception, or SystemExit. The message omits the exception's
            text, because the text may contain secrets.
    """
    label = f"{plugin.kind.word} '{plugin.name}' ({plugin.distribution})"
    try:
        with _named_when_slow(place + label):
            yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, allowed):
            raise
        raise PluginError(f"{label} failed with {type(error).__name__}") from error


@contextlib.contextmanager
def _named_when_slow(label: str) -> Iterator[None]:
    sentence = "%s has been loading for %d seconds, and the start waits for it"
    timer = threading.Timer(_SLOW, log.warning, (sentence, label, _SLOW))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Broken(Exception):
    """An exception that carries a failure out of stevedore, which would ignore it otherwise."""


def _fail(manager: ExtensionManager[Any], entry: EntryPoint, error: BaseException) -> None:
    raise _Broken from error
