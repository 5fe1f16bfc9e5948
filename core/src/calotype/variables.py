"""Variables in the values of an ini file.

`${name}` stands for a variable of the file's [DEFAULT] section or of the command line,
which wins; `${env:NAME}` for an environment variable; `${file:PATH}` for a file's
content without its last newline, so that secrets need not stand in the ini file.
`$${` is a literal `${`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

_VARIABLE = re.compile(r"\$(\$?)\{(?:(env|file):)?([^}]*)\}")


class SettingsError(Exception):
    """The settings are wrong: one sentence that names the key."""


def expand(key: str, text: str, variables: Mapping[str, str]) -> str:
    """Replace `${name}`, `${env:NAME}` and `${file:PATH}` in a value.

    Raises:
        SettingsError: there is no such variable or file; the message names `key`.
    """

    def value(match: re.Match[str]) -> str:
        escaped, kind, name = match.groups()
        if escaped:
            return match[0][1:]
        try:
            if kind == "file":
                return Path(name).read_text().removesuffix("\n")
            # A variable's own value may hold others: [DEFAULT] data_dir = ${env:HOME}/images
            return (
                os.environ[name] if kind == "env" else expand(key, variables[name], _without(variables, name))
            )
        except (KeyError, OSError, ValueError):  # ValueError: no text, or no path
            raise SettingsError(f"{key}: there is no ${{{f'{kind}:' if kind else ''}{name}}}") from None

    return _VARIABLE.sub(value, text)


def files_read(*texts: str) -> tuple[str, ...]:
    """Return the paths of all `${file:PATH}` in these values, each once."""
    found = (match for text in texts for match in _VARIABLE.finditer(text))
    return tuple(dict.fromkeys(match[3] for match in found if match[2] == "file" and not match[1]))


def _without(variables: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in variables.items() if key != name}
