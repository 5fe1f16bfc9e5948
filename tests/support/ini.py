"""Ini files that are calotype.ini with some changes."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INI = ROOT / "calotype.ini"


def change_ini(path: Path, changes: Mapping[str, Mapping[str, str]]) -> Path:
    """Write calotype.ini to `path` with these changes to its sections, and return the path.

    A value replaces that of its option; an empty one removes the option. If `calotype.stores` is among the
    changes and does not name the store `http`, its key in calotype.ini is removed.
    """
    ini = configparser.RawConfigParser()
    ini.optionxform = str  # type: ignore[assignment,method-assign]
    ini.read(INI)
    if "http" not in changes.get("app:main", {}).get("calotype.stores", "http").split():
        ini.remove_option("app:main", "store.http.driver")
    for section, options in changes.items():
        for option, value in options.items():
            ini.set(section, option, value) if value else ini.remove_option(section, option)
    with path.open("w") as file:
        ini.write(file)
    return path
