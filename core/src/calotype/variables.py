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

from calotype.hints import did_you_mean

#: The variable that holds the ini file and the variables of the command line, as a shell would read them.
ARGUMENTS = "__arguments__"
_VARIABLE = re.compile(r"\$(\$?)\{(?:(env|file):)?([^}]*)\}")


class SettingsError(Exception):
    """The settings are wrong: one sentence that names the key."""


class Indirect(str):
    """A value that came from the environment or from a file, which no message may show.

    `written` is what the ini file has in its place.
    """

    written: str

    def __new__(cls, value: str, written: str) -> Indirect:
        """Make the value; a copy of it by `str()` is plain text again."""
        made = super().__new__(cls, value)
        made.written = written
        return made


def expand(key: str, text: str, variables: Mapping[str, str]) -> str:
    """Replace `${name}`, `${env:NAME}` and `${file:PATH}` in a value.

    A value that holds one of the latter two, or a variable that does, comes back as an Indirect.

    Raises:
        SettingsError: there is no such variable, or the file cannot be read; the message names `key`.
    """
    is_indirect = False

    def value(match: re.Match[str]) -> str:
        nonlocal is_indirect
        escaped, kind, name = match.groups()
        if escaped:
            return match[0][1:]
        is_indirect |= bool(kind)
        try:
            if kind == "file":
                return Path(name).read_text().removesuffix("\n")
            if kind == "env":
                return os.environ[name]
            # A variable's own value may hold others: [DEFAULT] data_dir = ${env:HOME}/images
            found = expand(key, variables[name], _without(variables, name))
        except (KeyError, OSError, ValueError) as error:  # ValueError: no text, or no path
            raise SettingsError(f"{key}: {_missing(kind, name, variables, error)}") from None
        is_indirect |= isinstance(found, Indirect)
        return found

    expanded = _VARIABLE.sub(value, text)
    return Indirect(expanded, text) if is_indirect else expanded


def files_read(*texts: str) -> tuple[str, ...]:
    """Return the paths of all `${file:PATH}` in these values, each once."""
    found = (match for text in texts for match in _VARIABLE.finditer(text))
    return tuple(dict.fromkeys(match[3] for match in found if match[2] == "file" and not match[1]))


def _missing(kind: str | None, name: str, variables: Mapping[str, str], error: Exception) -> str:
    if kind == "env":
        return f"there is no ${{env:{name}}}: set the environment variable {name or 'that is meant'}"
    if kind == "file":
        written = f"${{file:{name}}}"
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            return f"{written} cannot be read: {error.strerror}"
        return f"{written} is no text file" if isinstance(error, ValueError) else f"there is no {written}"
    return f"there is no ${{{name}}}{did_you_mean(name, variables)}"


def _without(variables: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in variables.items() if key != name}
