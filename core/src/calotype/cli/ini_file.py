"""Check an ini file and its variables before anything uses them: one sentence for each mistake.

PasteDeploy and Python's logging fail with tracebacks for the same mistakes.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from calotype.config.interpolation import ARGUMENTS, CommandLineError, SettingsError
from calotype.config.messages import did_you_mean, located, one_line, without_password

#: How a value refers to a variable: ${name} in our way, %(name)s in configparser's.
_REFERENCE = re.compile(r"(?<!\$)\$\{([^}:]+)\}|%\(([^)]+)\)s")


def read_variables(pairs: list[str] | tuple[str, ...]) -> dict[str, str]:
    """Return the variables of a command line.

    Raises:
        CommandLineError: one is not NAME=VALUE, or holds a single %.
    """
    variables = {}
    for text in pairs:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise CommandLineError(f"{text!r} is not a variable: a variable is NAME=VALUE")
        if re.search(r"%(?![%(])", value.replace("%%", "")):
            raise CommandLineError(
                f"variable {name}: write %% instead of %, which has a meaning in ini files"
            )
        variables[name] = value
    return variables


def require_file(ini: str) -> None:
    """Return if there is something that may be the ini file.

    Raises:
        CommandLineError: there is nothing, or a directory.
    """
    if not os.path.lexists(ini):
        raise CommandLineError(
            f"{ini}: there is no such ini file: name one that exists, such as calotype.ini"
        )
    if os.path.isdir(ini):
        raise CommandLineError(f"{ini}: this is a directory: name the ini file in it")


def check_ini(ini: str, variables: Mapping[str, str]) -> None:
    """Return if the ini file can be parsed and has all these variables.

    Raises:
        CommandLineError: there is no such file, or it does not have one of the variables.
        SettingsError: it cannot be parsed; the message names the file, and the line if that is known.
    """
    require_file(ini)
    try:
        text = Path(ini).read_text()
    except OSError as error:
        raise SettingsError(f"{ini}: the ini file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{ini}: the ini file is no UTF-8 text") from None
    known = {*_parse(ini, text).defaults(), *_referred_to(text), "data_dir"}
    for name in sorted(variables.keys() - known - {ARGUMENTS}):
        hint = did_you_mean(name, known)
        if any(located(ini, name, section=kind) != located(ini) for kind in ("app", "server")):
            hint = f": it is a setting, so write {name} = ${{NAME}} in the file and give NAME=VALUE"
        raise CommandLineError(f"{ini}: it has no variable {name}{hint}")


@contextlib.contextmanager
def refused(ini: str, what: str) -> Iterator[None]:
    """Turn every exception of PasteDeploy or logging into a sentence that names the file.

    Raises:
        SettingsError: there was one. `what` is the failure in words.
    """
    try:
        yield
    except SettingsError:
        raise
    except configparser.InterpolationError as error:
        place = located(ini, error.option, section=error.section.partition(":")[0])
        raise SettingsError(
            f"{place}{error.option}: % has a meaning in ini files: "
            "%(NAME)s stands for a variable of [DEFAULT], and %% for %"
        ) from None
    except OSError as error:
        raise SettingsError(f"{ini}: {what}: {error.filename}: {error.strerror}") from error
    except Exception as error:
        # PasteDeploy's own errors are plain LookupErrors, whose messages are sentences.
        kind = "" if type(error) is LookupError else f"{type(error).__name__}: "
        raise SettingsError(f"{ini}: {what}: {kind}{one_line(error)}") from error


def arguments_of(ini: str, pairs: list[str] | tuple[str, ...]) -> str:
    """Return the ini file and the variables as one types them, without the passwords in URLs."""
    return shlex.join([ini, *map(without_password, pairs)])


def _parse(ini: str, text: str) -> configparser.ConfigParser:
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("[") and "]" not in line:  # configparser takes [app:main for a key
            raise SettingsError(f"{ini}, line {number}: a section is [NAME], not {line!r}")
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(text)
    except configparser.DuplicateOptionError as error:
        raise SettingsError(
            f"{ini}, line {error.lineno}: [{error.section}] has {error.option} already; remove one of the two"
        ) from None
    except configparser.DuplicateSectionError as error:
        raise SettingsError(
            f"{ini}, line {error.lineno}: there is a section [{error.section}] already; join the two"
        ) from None
    except configparser.MissingSectionHeaderError as error:
        raise SettingsError(
            f"{ini}, line {error.lineno}: a line before the first [section]: {error.line.strip()!r}"
        ) from None
    except configparser.ParsingError as error:
        number, line = error.errors[0]
        raise SettingsError(f"{ini}, line {number}: neither a [section] nor KEY = VALUE: {line}") from None
    return parser


def _referred_to(text: str) -> set[str]:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith(("#", ";")))
    return {ours or theirs for line in lines for ours, theirs in _REFERENCE.findall(line)}
