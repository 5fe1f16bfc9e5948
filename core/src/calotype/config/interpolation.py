"""Variables in the values of an ini file.

`${name}` stands for a variable of the file's [DEFAULT] section or of the command line,
which wins; `${env:NAME}` for an environment variable; `${file:PATH}` for a file's
content without its last newline, so that secrets need not stand in the ini file.
`$${` is a literal `${`.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from calotype.config.messages import did_you_mean, located, without_password

#: The variable that holds the ini file and the variables of the command line, as a shell would read them.
ARGUMENTS = "__arguments__"
_VARIABLE = re.compile(r"\$(\$?)\{(?:(env|file):)?([^}]*)\}")


class SettingsError(Exception):
    """The settings are wrong: one sentence that names the key.

    `variable` is the variable in whose value the mistake stands, where it is not in the setting's own.
    """

    def __init__(self, sentence: str, variable: str | None = None):
        super().__init__(sentence)
        self.variable = variable


class CommandLineError(SettingsError):
    """The command line is wrong, before any setting is read: exit status 2."""


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
            try:
                found = expand(name, variables[name], _without(variables, name))
            except SettingsError as error:
                error.variable = error.variable or name
                raise
        except (KeyError, OSError, ValueError) as error:  # ValueError: no text, or no path
            raise SettingsError(f"{key}: {_missing(kind, name, variables, error)}") from None
        is_indirect |= isinstance(found, Indirect)
        return found

    expanded = _VARIABLE.sub(value, text)
    return Indirect(expanded, text) if is_indirect else expanded


def given_by(text: str, variables: Mapping[str, str]) -> list[str]:
    """Return the names of the variables that a value refers to, and those that these refer to."""
    names = [match[3] for match in _VARIABLE.finditer(text) if not match[1] and not match[2]]
    return list(
        dict.fromkeys(
            found
            for name in names
            if name in variables
            for found in (name, *given_by(variables[name], _without(variables, name)))
        )
    )


def place_of(error: SettingsError, key: str, variables: Mapping[str, str], section: str = "app") -> str:
    """Return "FILE, line N: " of the value that the error is about: the setting's, or that of a variable."""
    if error.variable and _is_typed(error.variable, variables):
        return "on the command line: "
    return located(variables.get("__file__"), error.variable or key, section=section)


def told_sources(text: str, variables: Mapping[str, str]) -> str:
    """Return " (NAME=VALUE on the command line)" for the variables that a value refers to; "" for none.

    What an operator has written wrong is often a variable's value, and not that of the setting.
    """
    told = []
    for name in given_by(text, variables):
        line = re.search(r"line \d+", located(variables.get("__file__"), name))
        source = "on the command line" if _is_typed(name, variables) else f"in {line[0]}" if line else ""
        told.append(f"{name}={without_password(variables[name])} {source}".rstrip())
    return f" ({', '.join(told)})" if told else ""


def _is_typed(name: str, variables: Mapping[str, str]) -> bool:
    """Return whether the command line gives the variable."""
    typed = shlex.split(variables.get(ARGUMENTS, ""))
    return any(text.startswith(f"{name}=") for text in typed[1:])


def files_read(*texts: str) -> tuple[str, ...]:
    """Return the paths of all `${file:PATH}` in these values, each once."""
    found = (match for text in texts for match in _VARIABLE.finditer(text))
    return tuple(dict.fromkeys(match[3] for match in found if match[2] == "file" and not match[1]))


def _missing(kind: str | None, name: str, variables: Mapping[str, str], error: Exception) -> str:
    written = f"'${{{kind}:{name}}}'" if kind else f"'${{{name}}}'"
    if kind and not name:
        what = "environment variable" if kind == "env" else "file"
        return f"{written} names no {what}: write one behind the colon"
    if kind == "env":
        return (
            f"{written} needs the environment variable {name}, which is not set: set it before the command "
            "starts, or write the value itself here"
        )
    if kind == "file":
        needs = f"{written} needs the file {name}, which"
        if isinstance(error, FileNotFoundError):
            return f"{needs} does not exist: create it, or correct the path"
        if isinstance(error, OSError):
            return (
                f"{needs} cannot be read ({error.strerror}): correct the path, or the file's owner and mode"
            )
        return f"{needs} is not a text file: write the value into it as UTF-8 text, or correct the path"
    return (
        f"{written} names no variable{did_you_mean(name, variables)}: set {name} in [DEFAULT], or behind the "
        f"ini file as {name}=VALUE"
    )


def _without(variables: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in variables.items() if key != name}
