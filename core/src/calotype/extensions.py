"""Extensions: find the installed ones, and add them to the resource tree.

An extension is a module with `includeme(config)`. It may also have

- `Options`, a subclass of `calotype.config.options.Options`: the keys `extension.NAME.*` of the ini file.
  In `includeme`, `config.extension_options("NAME")` returns them;
- `MIGRATIONS`, a `calotype.database.migrate.Branch` with the extension's name: its tables;
- `work(service, options)`, which returns the extension's `Work` beside requests.

A dialect is an extension of the group `calotype.dialects`. See docs/writing-an-extension.md.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError

from calotype.config import plugins
from calotype.config.interpolation import SettingsError
from calotype.config.messages import located, one_line, quoted
from calotype.config.options import Options
from calotype.config.plugins import Installed, Kind, Plugin, PluginError
from calotype.config.reading import InvalidText, Wording, read
from calotype.config.settings import Settings
from calotype.database.migrate import CORE, Branch
from calotype.transfers.workers import Work

DIALECT = Kind("dialect", "calotype.dialects")
EXTENSION = Kind("extension", "calotype.extensions")

#: The extensions that are on wherever they are installed: clients of v2 expect one, and people the other.
_ON_BY_DEFAULT = ("metadefs", "console")
#: The option that switches an extension on or off. The core reads it for every extension.
_ENABLED = "enabled"
#: The form of an extension's name, which is part of ini keys and of the name of its version table.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension or a dialect that is on."""

    plugin: Plugin
    options: Options
    includeme: Callable[[Configurator], None]
    migrations: Branch | None = None
    work: Callable[[Any, Any], Iterable[Work]] | None = None

    @property
    def name(self) -> str:
        """The name of its entry point."""
        return self.plugin.name


def load_extensions(settings: Settings, installed: Installed | None = None) -> list[Extension]:
    """Load the dialects and extensions that are on: dialects first, both in the order of the settings.

    Args:
        installed: the plugins to choose from; None: those that are installed now.

    Raises:
        SettingsError: an extension is missing or broken, or an option is invalid. The message names the
            extension and the key.
    """
    installed = installed or Installed()
    dialects = [(DIALECT, name, "calotype.dialects") for name in dict.fromkeys(settings.dialects)]
    others = [(EXTENSION, name, key) for name, key in _names_that_are_on(settings, installed)]
    return [_load(settings, installed, *wanted) for wanted in (*dialects, *others)]


def branches_of(extensions: Iterable[Extension]) -> list[Branch]:
    """Return the core's branch of migrations, followed by those of the extensions."""
    return [CORE, *(one.migrations for one in extensions if one.migrations is not None)]


def mount(config: Configurator, extensions: Sequence[Extension]) -> None:
    """Include the extensions in the application.

    Raises:
        SettingsError: an extension has failed, or two extensions conflict.
    """
    options = {one.name: one.options for one in extensions}
    config.add_directive("extension_options", lambda _, name: options[name])
    for extension in extensions:
        with _named(extension):
            config.include(extension.includeme)
    try:
        config.commit()
    except ConfigurationError as error:
        names = ", ".join(one.name for one in extensions)
        raise SettingsError(f"the extensions {names} cannot be used together: {one_line(error)}") from error


def work_of(extensions: Iterable[Extension], service: Any) -> Iterator[Work]:
    """Yield the work that the extensions do beside requests.

    Raises:
        SettingsError: an extension has failed.
    """
    for extension in extensions:
        if extension.work is not None:
            with _named(extension):
                found = list(extension.work(service, extension.options))
            yield from found


def _names_that_are_on(settings: Settings, installed: Installed) -> Iterator[tuple[str, str]]:
    """Yield the name of each extension that is on, and the ini key that switches it on."""
    default = [name for name in _ON_BY_DEFAULT if installed.named(EXTENSION, name)]
    for name in dict.fromkeys([*default, *settings.extensions, *sorted(settings.extension_options)]):
        if _is_enabled(settings, name):
            yield name, "calotype.extensions" if name in settings.extensions else f"extension.{name}."


def _is_enabled(settings: Settings, name: str) -> bool:
    given = settings.extension_options.get(name, {}).get(_ENABLED, "true")
    try:
        return TypeAdapter(bool).validate_python(given)
    except ValidationError:
        key = f"extension.{name}.{_ENABLED}"
        where = located(settings.ini_file, key)
        raise SettingsError(f"{where}{key}: must be true or false, not {quoted(given)}") from None


def _load(settings: Settings, installed: Installed, kind: Kind, name: str, key: str) -> Extension:
    where = located(settings.ini_file, key)
    try:
        plugin = plugins.load(installed, kind, name)
        with plugins.blamed(plugin, PluginError):
            _check(plugin)
    except PluginError as error:
        raise SettingsError(f"{where}{key.rstrip('.')}: {error}") from error
    module = plugin.target
    given = dict(settings.extension_options.get(name, {})) if kind is EXTENSION else {}
    given.pop(_ENABLED, None)
    try:
        options = read(getattr(module, "Options", Options), given, Wording("option", [_ENABLED]))
    except InvalidText as error:
        where = located(settings.ini_file, f"extension.{name}.{error.key}", f"extension.{name}.", key)
        raise SettingsError(f"{where}extension '{name}': {error}") from None
    migrations, work = getattr(module, "MIGRATIONS", None), getattr(module, "work", None)
    return Extension(plugin, options, module.includeme, migrations, work)


def _check(plugin: Plugin) -> None:
    """Refuse a module that does not have the shape of an extension."""
    module = plugin.target
    owner = f"{plugin.kind.word} '{plugin.name}' (of {plugin.distribution} {plugin.version})"
    if not _NAME.fullmatch(plugin.name):
        raise PluginError(
            f"{owner} must have a name of at most 31 lower-case letters, digits and _, with a letter first"
        )
    if not callable(getattr(module, "includeme", None)):
        raise PluginError(f"{owner} has no includeme(config)")
    options = getattr(module, "Options", Options)
    if not (isinstance(options, type) and issubclass(options, Options)):
        raise PluginError(f"{owner} has Options that are not a subclass of calotype.config.options.Options")
    migrations = getattr(module, "MIGRATIONS", None)
    if migrations is not None and not (isinstance(migrations, Branch) and migrations.name == plugin.name):
        raise PluginError(f"{owner} has MIGRATIONS that are not a Branch of the name '{plugin.name}'")
    if not callable(getattr(module, "work", list)):
        raise PluginError(f"{owner} has an attribute `work` that is not a function")


@contextlib.contextmanager
def _named(extension: Extension) -> Iterator[None]:
    """Raise a SettingsError that names the extension if its own code fails."""
    try:
        with plugins.blamed(extension.plugin, SettingsError):
            yield
    except PluginError as error:
        raise SettingsError(str(error)) from error.__cause__
