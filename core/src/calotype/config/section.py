"""From the application's section of an ini file, and its variables, to `Settings`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from calotype.config.interpolation import (
    ARGUMENTS,
    SettingsError,
    expand,
    files_read,
    place_of,
    told_sources,
)
from calotype.config.messages import did_you_mean, located
from calotype.config.reading import InvalidText, Wording, keys_of, read
from calotype.config.settings import Settings

#: A key of a store, or of an extension: `store.NAME.OPTION`.
_PLUGIN_KEY = re.compile(r"(store|extension)\.([^.]+)\.(.+)")
#: Keys that begin so, and keys without a dot, are ours; others are left to whoever reads them.
_OURS = ("calotype", "store", "extension", "sqlalchemy")


def read_settings(variables: Mapping[str, str], given: Mapping[str, str]) -> Settings:
    """Build the settings from the keys of a section and the file's variables.

    Raises:
        SettingsError: a key is unknown, a value does not fit, or a variable is missing. The sentence names
            the file and the line where these are known.
    """
    ini = variables.get("__file__")
    _refuse_unknown(given, ini)
    texts = {key: _expanded(key, text, variables) for key, text in given.items()}
    data_dir = _expanded("data_dir", "${data_dir}", variables) if "data_dir" in variables else None
    wording = Wording(source_of=lambda key: told_sources(given[key], variables))
    known = keys_of(Settings)
    try:
        settings = read(Settings, {key: text for key, text in texts.items() if key in known}, wording)
    except InvalidText as error:
        raise SettingsError(f"{located(ini, error.key or '')}{error}") from None
    return settings.model_copy(
        update={
            "store_options": _options_of("store", texts),
            "extension_options": _options_of("extension", texts),
            "data_dir": None if data_dir is None else Path(data_dir),
            "ini_file": None if ini is None else Path(ini),
            "arguments": variables[ARGUMENTS].replace("%%", "%") if ARGUMENTS in variables else ini,
            "secret_files": tuple(map(Path, files_read(*given.values(), *variables.values()))),
        }
    )


def _refuse_unknown(given: Mapping[str, str], ini: str | None) -> None:
    known = keys_of(Settings)
    for key in given:
        is_ours = key.partition(".")[0] in _OURS or "." not in key
        if is_ours and key not in known and not _PLUGIN_KEY.fullmatch(key):
            # Some fields have another name in the ini file, by which they are often called.
            field = Settings.model_fields.get(key.removeprefix("calotype."))
            hint = f" (did you mean {field.alias}?)" if field and not field.exclude else ""
            raise SettingsError(f"{located(ini, key)}unknown setting {key}{hint or did_you_mean(key, known)}")


def _expanded(key: str, text: str, variables: Mapping[str, str]) -> str:
    try:
        return expand(key, text, variables)
    except SettingsError as error:
        raise SettingsError(f"{place_of(error, key, variables)}{error}") from None


def _options_of(kind: str, texts: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the text of the options of each store, or extension, by its name."""
    found: dict[str, dict[str, str]] = {}
    for key, text in texts.items():
        if (match := _PLUGIN_KEY.fullmatch(key)) and match[1] == kind:
            found.setdefault(match[2], {})[match[3]] = text
    return found
