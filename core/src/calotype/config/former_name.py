"""The project was called tintype before it was called Calotype: refuse an ini file that still says so.

Nothing was ever released under the former name, so nothing converts it.
"""

from __future__ import annotations

import re
from pathlib import Path

from calotype.config.interpolation import SettingsError

_FORMER = "tintype"
#: What a line of an ini file uses: a setting at its start, or a distribution behind `egg:`.
_USED = re.compile(rf"^\s*({_FORMER}\.[^\s=:]+)|^[^#;]*\begg:({_FORMER}[\w-]*)")


def check_key(key: str) -> None:
    """Refuse a setting with the former name.

    Raises:
        SettingsError: the setting begins with the former name.
    """
    if key.startswith(f"{_FORMER}."):
        raise SettingsError(f"{key}: {_FORMER} is called calotype now; rename it throughout the ini file")


def check_file(ini: Path) -> None:
    """Refuse an ini file with the former name. A file that is no text is left to whoever parses it.

    Raises:
        SettingsError: the file has a setting or a distribution with the former name; says on which line.
    """
    try:
        lines = ini.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for number, line in enumerate(lines, 1):
        if used := _USED.match(line):
            raise SettingsError(
                f"{ini}, line {number}: {used[1] or used[2]}: {_FORMER} is called calotype now; "
                "rename it throughout the file"
            )
