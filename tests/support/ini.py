"""Ini files that are calotype.ini with some changes."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INI = ROOT / "calotype.ini"


def change_ini(path: Path, changes: Mapping[str, Mapping[str, str]]) -> Path:
    """Write calotype.ini to `path` with these changes to its sections, and return the path.

    A value sets its option, and an empty value removes it.
    """
    ini = configparser.RawConfigParser()
    ini.optionxform = str  # type: ignore[assignment,method-assign]
    ini.read(INI)
    for section, options in changes.items():
        for option, value in options.items():
            ini.set(section, option, value) if value else ini.remove_option(section, option)
    with path.open("w") as file:
        ini.write(file)
    return path
