"""Variables in the values of an ini file.

`${name}` stands for a variable of the command line or of the [DEFAULT] section; the command line takes
precedence. `${env:NAME}` stands for an environment variable. `${file:PATH}` stands for the content of a file
without its last newline, so that secrets can be kept out of the ini file. `$${` is a literal `${`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from calotype.config.messages import did_you_mean

#: The variable that holds the path of the ini file and the command line's variables, quoted for a shell.
ARGUMENTS = "__arguments__"
_VARIABLE = re.compile(r"\$(\$?)\{(?:(env|file):)?([^}]*)(\}?)")


class SettingsError(Exception):
    """A setting is wrong. The message is one sentence that names the key.

    `variable` is the variable whose value contains the mistake, if the setting's own value does not.
    """

    def __init__(self, sentence: str, variable: str | None = None):
        super().__init__(sentence)
        self.variable = variable


class CommandLineError(SettingsError):
    """The command line is wrong; no setting was read. The exit status is 2."""


class Indirect(str):
    """A value from the environment or from a file, which no message may show.

    `written` is the text in the ini file. `repr` shows this text in place of the value.
    """

    written: str

    def __repr__(self) -> str:
        return repr(self.written)

    def __new__(cls, value: str, written: str) -> Indirect:
        """Make the value. `str()` converts it to a plain string."""
        made = super().__new__(cls, value)
        made.written = written
        return made


def expand(key: str, text: str, variables: Mapping[str, str]) -> str:
    """Return a value with its `${name}`, `${env:NAME}` and `${file:PATH}` replaced.

    The result is an Indirect if any part of it comes from the environment or from a file.

    Raises:
        SettingsError: there is no such variable, or the file cannot be read, or its path is relative. The
            message names `key`.
    """
    is_indirect = False

    def value(match: re.Match[str]) -> str:
        nonlocal is_indirect
        escaped, kind, name, closed = match.groups()
        if escaped:
            return match[0][1:]
        if not closed:
            raise SettingsError(
                f"{key}: a ${{ in its value has no closing }}: add it, or write $${{ for a plain ${{"
            )
        is_indirect |= bool(kind)
        try:
            if kind == "file":
                if not Path(name).is_absolute():
                    raise ValueError
                return Path(name).read_text().removesuffix("\n")
            if kind == "env":
                return os.environ[name]
            # A variable's own value may contain others: [DEFAULT] data_dir = ${env:HOME}/images
            try:
                found = expand(name, variables[name], _without(variables, name))
            except SettingsError as error:
                error.variable = error.variable or name
                raise
        except (KeyError, OSError, ValueError) as error:  # ValueError: not text, or not a usable path
            raise SettingsError(f"{key}: {_missing(kind, name, variables, error)}") from None
        is_indirect |= isinstance(found, Indirect)
        return found

    expanded = _VARIABLE.sub(value, text)
    return Indirect(expanded, text) if is_indirect else expanded


def variables_in(text: str, variables: Mapping[str, str]) -> list[str]:
    """Return the names of the variables that a value refers to, directly or through other variables."""
    names = [match[3] for match in _VARIABLE.finditer(text) if not match[1] and not match[2]]
    return list(
        dict.fromkeys(
            found
            for name in names
            if name in variables
            for found in (name, *variables_in(variables[name], _without(variables, name)))
        )
    )


def files_in(*texts: str) -> tuple[Path, ...]:
    """Return the paths of all `${file:PATH}` in these values, each once."""
    found = (match for text in texts for match in _VARIABLE.finditer(text))
    return tuple(dict.fromkeys(Path(match[3]) for match in found if match[2] == "file" and not match[1]))


def _missing(kind: str | None, name: str, variables: Mapping[str, str], error: Exception) -> str:
    """Return why a variable has no value, and how to give it one."""
    written = f"'${{{kind}:{name}}}'" if kind else f"'${{{name}}}'"
    if kind and not name:
        noun = "environment variable" if kind == "env" else "file"
        return f"{written} names no {noun}: write one after the colon"
    if kind == "env":
        return (
            f"{written} needs the environment variable {name}, which is not set: set it before the command "
            "starts, or write the value itself here"
        )
    if kind == "file":
        if not Path(name).is_absolute():
            return (
                f"{written} names a relative path, which depends on the directory in which a command is "
                f"started: write an absolute path, such as ${{file:/etc/calotype/{Path(name).name}}}"
            )
        needs = f"{written} needs the file {name}, which"
        if isinstance(error, FileNotFoundError):
            return f"{needs} does not exist: create it, or correct the path"
        if isinstance(error, OSError):
            return (
                f"{needs} cannot be read ({error.strerror}): correct the path, or the file's owner and mode"
            )
        return f"{needs} is not a text file: write the value into it as UTF-8 text, or correct the path"
    source, colon, _ = name.partition(":")
    if colon:
        hint = did_you_mean(source, ("env", "file"))
        return f"{written}: there is no source {source}{hint}; write ${{env:NAME}} or ${{file:PATH}}"
    return (
        f"{written} names no variable{did_you_mean(name, variables)}: set {name} in [DEFAULT], or after the "
        f"ini file as {name}=VALUE"
    )


def _without(variables: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in variables.items() if key != name}
