"""A section of an ini file whose settings another distribution declares, such as [server:main]."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from calotype.config.interpolation import SettingsError, expand_located, told_sources
from calotype.config.messages import did_you_mean, located, quoted

Parsers = Mapping[str, Callable[[str], Any]]


@dataclass(frozen=True)
class Section:
    """The settings of one section as text, and the variables that they may hold."""

    #: The word before the colon of the section's name, such as `server`.
    kind: str
    texts: Mapping[str, str]
    variables: Mapping[str, str]

    def read(self, parsers: Parsers) -> dict[str, Any]:
        """Return the value of each setting.

        Raises:
            SettingsError: a setting has no parser, its parser refuses its value, or a variable is missing.
                The message names the place in the file.
        """
        values = {}
        for key, text in self.texts.items():
            if key not in parsers:
                hint = did_you_mean(key, parsers)
                raise self.error(key, f"unknown setting {key} of the {self.kind}{hint}")
            value = expand_located(key, text, self.variables, self.kind)
            try:
                values[key] = parsers[key](value)
            except ValueError as error:
                raise self.error(key, f"{key} of the {self.kind}: {error}, not {quoted(value)}") from None
        return values

    def error(self, key: str, sentence: str) -> SettingsError:
        """Return an error for a setting, with its place and the variables that its value comes from."""
        place = located(self.variables.get("__file__"), key, section=self.kind)
        return SettingsError(f"{place}{sentence}{told_sources(self.texts.get(key, ''), self.variables)}")
