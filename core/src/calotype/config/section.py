"""A section of an ini file, and the service's settings from the application's section."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calotype.config.event_settings import WebhookOptions
from calotype.config.interpolation import ARGUMENTS, SettingsError, expand, files_in, variables_in
from calotype.config.messages import did_you_mean, located, quoted, without_password
from calotype.config.reading import InvalidText, Wording, keys_of, read
from calotype.config.settings import Settings

#: A key of a store, of an extension, or of a webhook: `store.NAME.OPTION`.
_PLUGIN_KEY = re.compile(r"(store|extension|webhook)\.([^.]+)\.(.+)")
#: The first parts of the keys that the service reads. Pyramid reads the keys that begin with `pyramid.`.
_OURS = ("calotype", "store", "extension", "webhook", "sqlalchemy")
_PYRAMID = "pyramid."
#: The form of a webhook's name.
_WEBHOOK = re.compile(r"[a-z0-9_-]{1,63}")


@dataclass(frozen=True)
class Section:
    """The settings of one section as text, and the variables that they may contain."""

    #: The word before the colon of the section's name: `app` or `server`.
    kind: str
    texts: Mapping[str, str]
    variables: Mapping[str, str]

    def value(self, key: str, text: str | None = None) -> str:
        """Return the value of a setting, or `text` if it is given, with its variables replaced.

        Raises:
            SettingsError: a variable is missing. The message names the place in the file.
        """
        try:
            return expand(key, self.texts[key] if text is None else text, self.variables)
        except SettingsError as error:
            is_typed = error.variable and self._is_typed(error.variable)
            place = "on the command line: " if is_typed else self._place(error.variable or key)
            raise SettingsError(f"{place}{error}") from None

    def read(self, parsers: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
        """Return the value of each setting, converted by the parser of its key.

        Raises:
            SettingsError: a setting has no parser, its parser refuses its value, or a variable is missing.
                The message names the place in the file.
        """
        values = {}
        for key in self.texts:
            if key not in parsers:
                raise self.error(key, f"unknown setting {key} of the {self.kind}{did_you_mean(key, parsers)}")
            value = self.value(key)
            try:
                values[key] = parsers[key](value)
            except ValueError as error:
                raise self.error(key, f"{key} of the {self.kind}: {error}, not {quoted(value)}") from None
        return values

    def error(self, key: str, sentence: str) -> SettingsError:
        """Return an error for a setting, with its place and the variables that its value comes from."""
        return SettingsError(f"{self._place(key)}{sentence}{self.sources(key)}")

    def sources(self, key: str) -> str:
        """Return " (NAME=VALUE on the command line)" for the variables in a setting; "" for none.

        The mistake is often in a variable and not in the setting itself.
        """
        found = []
        for name in variables_in(self.texts.get(key, ""), self.variables):
            line = re.search(r"line \d+", self._place(name))
            source = "on the command line" if self._is_typed(name) else f"in {line[0]}" if line else ""
            found.append(f"{name}={without_password(self.variables[name])} {source}".rstrip())
        return f" ({', '.join(found)})" if found else ""

    def origin(self, key: str) -> str:
        """Return the place and name of a setting, or of the variable from which its whole value comes."""
        name, text = key, self.texts.get(key, "")
        while (match := re.fullmatch(r"\$\{([^}:]+)\}", text)) and match[1] in self.variables:
            name, text = match[1], self.variables[match[1]]
        is_typed = name != key and self._is_typed(name)
        return f"{'on the command line: ' if is_typed else self._place(name)}{name}"

    def _place(self, key: str) -> str:
        return located(self.variables.get("__file__"), key, section=self.kind)

    def _is_typed(self, name: str) -> bool:
        """Return whether the command line sets the variable."""
        _, *typed = shlex.split(self.variables.get(ARGUMENTS, "")) or [""]
        return any(text.startswith(f"{name}=") for text in typed)


def is_setting(key: str) -> bool:
    """Return whether a key looks like a setting of the application, and not like a variable."""
    first, dot, _ = key.partition(".")
    return bool(dot) and first in (*_OURS, _PYRAMID[:-1])


def read_settings(variables: Mapping[str, str], given: Mapping[str, str]) -> Settings:
    """Return the settings of a section with these keys, in a file with these variables.

    Raises:
        SettingsError: a key is unknown, a value is invalid, or a variable is missing. The message names
            the file, and the line if it is known.
    """
    ini = variables.get("__file__")
    _refuse_unknown(given, ini)
    section = Section("app", given, variables)
    texts = {key: section.value(key) for key in given}
    known = keys_of(Settings)
    try:
        settings = read(
            Settings, {key: texts[key] for key in texts if key in known}, Wording(source_of=section.sources)
        )
    except InvalidText as error:
        raise SettingsError(f"{located(ini, error.key or '')}{error}") from None
    data_dir = section.value("data_dir", "${data_dir}") if "data_dir" in variables else None
    return settings.model_copy(
        update={
            "store_options": _options_of("store", texts),
            "extension_options": _options_of("extension", texts),
            "webhooks": _webhooks(texts, section),
            "data_dir": None if data_dir is None else Path(data_dir),
            "database_place": section.origin("sqlalchemy.url"),
            "database_variables": tuple(variables_in(given["sqlalchemy.url"], variables)),
            "ini_file": None if ini is None else Path(ini),
            "arguments": variables[ARGUMENTS].replace("%%", "%") if ARGUMENTS in variables else ini,
            "secret_files": files_in(*given.values(), *variables.values()),
        }
    )


def _refuse_unknown(given: Mapping[str, str], ini: str | None) -> None:
    known = keys_of(Settings)
    for key in given:
        if key not in known and not key.startswith(_PYRAMID) and not _PLUGIN_KEY.fullmatch(key):
            raise SettingsError(f"{located(ini, key)}unknown setting {key}{_hint(key, known)}")


def _hint(key: str, known: Collection[str]) -> str:
    """Return " (did you mean KEY?)" for an unknown key; "" if no key is similar."""
    # Some fields have an ini key that differs from their name, and users often write the name.
    field = Settings.model_fields.get(key.removeprefix("calotype."))
    if field and not field.exclude:
        return f" (did you mean {field.alias}?)"
    first, dot, rest = key.partition(".")
    for ours in difflib.get_close_matches(first, _OURS, n=1):
        meant = f"{ours}{dot}{rest}"
        if meant in known or _PLUGIN_KEY.fullmatch(meant):
            return f" (did you mean {meant}?)"
    return did_you_mean(key, known)


def _webhooks(texts: Mapping[str, str], section: Section) -> dict[str, WebhookOptions]:
    """Return the options of each webhook, by its name; raises SettingsError."""
    found = {}
    for name, given in _options_of("webhook", texts).items():
        prefix = f"webhook.{name}."
        if not _WEBHOOK.fullmatch(name):
            raise section.error(
                f"{prefix}{next(iter(given))}",
                f"{prefix.rstrip('.')}: a webhook's name has at most 63 lower-case letters, digits, - and _",
            )
        try:
            found[name] = read(WebhookOptions, given, Wording("option"))
        except InvalidText as error:
            place = located(section.variables.get("__file__"), f"{prefix}{error.key}", prefix)
            raise SettingsError(f"{place}webhook '{name}': {error}") from None
    return found


def _options_of(kind: str, texts: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the text of the options of each store, extension or webhook, by its name."""
    found: dict[str, dict[str, str]] = {}
    for key, text in texts.items():
        if (match := _PLUGIN_KEY.fullmatch(key)) and match[1] == kind:
            found.setdefault(match[2], {})[match[3]] = text
    return found
