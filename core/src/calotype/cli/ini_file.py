"""Check an ini file and its variables before anything uses them: one sentence for each mistake.

PasteDeploy and Python's logging fail with tracebacks for the same mistakes.
"""

from __future__ import annotations

import configparser
import contextlib
import importlib.metadata
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from calotype.config.interpolation import ARGUMENTS, CommandLineError, SettingsError
from calotype.config.messages import did_you_mean, located, one_line, quoted, without_password
from calotype.config.private_files import refused_access
from calotype.config.section import is_setting

#: A reference to a variable: ${name} in our syntax, %(name)s in configparser's.
_REFERENCE = re.compile(r"(?<!\$)\$\{([^}:]+)\}|%\(([^)]+)\)s")
#: PasteDeploy's messages about a missing section, and about the value of `use`.
_NO_SECTION = re.compile(r"No section '(.+?)' \(prefixed by '(\w+)'")
_NO_USE = re.compile(r"No loader given in section '(.+?)'")
_NO_SCHEME = re.compile(r"URI (?:has no scheme|scheme not known): '(.+?)'")
_NO_ENTRY_POINT = re.compile(r"Entry point '(.+?)' not found in egg '(.+?)'")
#: The groups of entry points that `use = egg:DISTRIBUTION#NAME` may mean.
_EGG_GROUPS = ("paste.app_factory", "paste.server_runner", "paste.server_factory", "paste.filter_factory")
#: An indented line that looks like a setting.
_SETTING = re.compile(r"([A-Za-z_][\w.-]*)\s*=")
#: The usual value of `use` by the kind of section.
_USES = {"app": "egg:calotype-core", "server": "egg:calotype-server#main"}


def read_variables(pairs: list[str] | tuple[str, ...]) -> dict[str, str]:
    """Return the variables of a command line.

    Raises:
        CommandLineError: a variable is not NAME=VALUE, or contains a single %.
    """
    variables = {}
    for text in pairs:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise CommandLineError(f"{quoted(text)} is not a variable: write NAME=VALUE")
        if re.search(r"%(?![%(])", value.replace("%%", "")):
            raise CommandLineError(
                f"variable {without_password(name)}: write %% instead of %, which has a meaning in ini files"
            )
        variables[name] = value
    return variables


def read_ini(ini: str) -> str:
    """Return the text of the ini file.

    Raises:
        CommandLineError: the path does not exist, or is a directory.
        SettingsError: the file cannot be read.
    """
    shown = without_password(ini)  # this may be a variable, if the ini file was forgotten
    try:
        return Path(ini).read_text()
    except PermissionError:
        raise SettingsError(f"{ini}: permission denied: {refused_access(Path(ini), 'read')}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{ini}: the ini file is not UTF-8 text") from None
    except IsADirectoryError:
        raise CommandLineError(f"{ini}: this is a directory: name the ini file in it") from None
    except (FileNotFoundError, NotADirectoryError):
        raise CommandLineError(
            f"{shown}: there is no such ini file: name one that exists, such as calotype.ini"
        ) from None
    except OSError as error:
        raise SettingsError(f"{shown}: the ini file cannot be read: {error.strerror}") from None


def check_ini(ini: str, variables: Mapping[str, str]) -> None:
    """Require that the ini file can be parsed and has all these variables.

    Raises:
        CommandLineError: there is no such file, or it does not have one of the variables.
        SettingsError: the file cannot be read or parsed, or a key is where it has no effect; the message
            names the file, and the line if known.
    """
    text = read_ini(ini)
    parsed = _parse(ini, text)
    _refuse_indented(ini, text, parsed)
    _refuse_settings_of_default(ini, text, parsed)
    known = {*parsed.defaults(), *_referred_to(text), "data_dir"}
    for name in sorted(variables.keys() - known - {ARGUMENTS}):
        hint = did_you_mean(name, known)
        if any(located(ini, name, section=kind) != located(ini) for kind in ("app", "server")):
            hint = f": it is a setting, so write {name} = ${{NAME}} in the file and give NAME=VALUE"
        raise CommandLineError(f"{ini}: it has no variable {without_password(name)}{hint}")


@contextlib.contextmanager
def refused(ini: str, failure: str) -> Iterator[None]:
    """Convert every exception of PasteDeploy or logging to a SettingsError that names the file.

    Args:
        failure: Words that describe the failure, for a mistake that has no message of its own here.

    Raises:
        SettingsError: the block has raised an exception.
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
        reason = f"{error.filename}: {error.strerror}" if error.filename else one_line(error)
        raise SettingsError(f"{ini}: {failure}: {reason}") from error
    except Exception as error:
        raise SettingsError(_explain(ini, error) or _in_its_words(ini, failure, error)) from error


def _in_its_words(ini: str, failure: str, error: Exception) -> str:
    # PasteDeploy's own errors are plain LookupErrors, whose messages are sentences.
    kind = "" if type(error) is LookupError else f"{type(error).__name__}: "
    return f"{ini}: {failure}: {kind}{one_line(error)}"


def _explain(ini: str, error: Exception) -> str | None:
    """Return a sentence for an error about a section, or about the value of `use`; None for any other."""
    text = one_line(error)
    if isinstance(error, importlib.metadata.PackageNotFoundError):
        hint = did_you_mean(str(error.name), _eggs())
        return f"{_place_of_use(ini, str(error.name))}use: no distribution '{error.name}' is installed{hint}"
    if match := _NO_ENTRY_POINT.match(text):
        name, egg = match.groups()
        names = _eggs().get(egg, [])
        hint = did_you_mean(name, names) if names else did_you_mean(egg, _eggs())
        return f"{_place_of_use(ini, egg)}use: the distribution '{egg}' offers nothing named '{name}'{hint}"
    if match := _NO_SCHEME.match(text):
        return (
            f"{_place_of_use(ini, match[1])}use: must be egg:DISTRIBUTION#NAME, config:FILE or "
            f"call:MODULE:FUNCTION, such as egg:calotype-core, not '{match[1]}'"
        )
    if match := _NO_USE.match(text):
        kind = match[1].partition(":")[0]
        return f"{ini}: [{match[1]}] has no use: write use = {_USES.get(kind, 'egg:DISTRIBUTION#NAME')}"
    if match := _NO_SECTION.match(text):
        kind, name = match[2], match[1]
        if name in _eggs():  # `use = NAME` means another section of the file
            return f"{_place_of_use(ini, name)}use: there is no section [{kind}:{name}]: write egg:{name}"
        sections = re.findall(r"^\[(.+?)\]", _text_of(ini), re.M)
        return f"{ini}: there is no section [{kind}:{name}]{did_you_mean(f'{kind}:{name}', sections)}"
    return None


def _eggs() -> dict[str, list[str]]:
    """Return the distributions that `use = egg:...` can name, and the names that each offers."""
    found: dict[str, list[str]] = {}
    for group in _EGG_GROUPS:
        for entry in importlib.metadata.entry_points(group=group):
            if entry.dist is not None:
                found.setdefault(entry.dist.name, []).append(entry.name)
    return found


def _text_of(ini: str) -> str:
    """Return the text of the ini file; "" if `ini` names a distribution, as in `pserve egg:NAME`."""
    try:
        return Path(ini).read_text(errors="replace")
    except OSError:
        return ""


def _place_of_use(ini: str, value: str) -> str:
    """Return "FILE, line N: " for the first `use` whose value contains the text, or else "FILE: "."""
    for number, line in enumerate(_text_of(ini).splitlines(), 1):
        if re.match(rf"use\s*[=:].*{re.escape(value)}", line):
            return f"{ini}, line {number}: "
    return f"{ini}: "


def arguments_of(ini: str, pairs: list[str] | tuple[str, ...]) -> str:
    """Return the ini file and the variables, quoted for a shell, without the passwords in URLs."""
    return shlex.join([ini, *map(without_password, pairs)])


def _parse(ini: str, text: str) -> configparser.ConfigParser:
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("[") and "]" not in line:  # configparser reads [app:main as a key
            raise SettingsError(f"{ini}, line {number}: a section is [NAME], not {line!r}")
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(text)
    except configparser.DuplicateOptionError as error:
        raise SettingsError(
            f"{ini}, line {error.lineno}: [{error.section}] has {error.option} already: remove one of the two"
        ) from None
    except configparser.DuplicateSectionError as error:
        raise SettingsError(
            f"{ini}, line {error.lineno}: there is a section [{error.section}] already: join the two"
        ) from None
    except configparser.MissingSectionHeaderError as error:
        raise SettingsError(
            f"{ini}, line {error.lineno}: a line before the first [section]: {error.line.strip()!r}"
        ) from None
    except configparser.ParsingError as error:
        number, _ = error.errors[0]
        line = text.splitlines()[number - 1].strip()
        raise SettingsError(f"{ini}, line {number}: neither a [section] nor KEY = VALUE: {line!r}") from None
    return parser


def _refuse_indented(ini: str, text: str, parsed: configparser.ConfigParser) -> None:
    """Refuse an indented line that looks like a setting: it continues the value of the line above it.

    The line's own value is not shown, because it may be a secret.
    """
    for section in (parsed.default_section, *parsed.sections()):
        if section.partition(":")[0] not in (parsed.default_section, *_USES):
            continue  # the values of other programs' sections may hold such lines
        for key, value in parsed[section].items():
            for line in value.splitlines()[1:]:
                if found := _SETTING.match(line):
                    lines = [one.strip() if one[:1].isspace() else "" for one in text.splitlines()]
                    number = lines.index(line) + 1
                    raise SettingsError(
                        f"{ini}, line {number}: {found[1]} is indented, so the line belongs to the value of "
                        f"{key}: remove the blanks before it"
                    )


def _refuse_settings_of_default(ini: str, text: str, parsed: configparser.ConfigParser) -> None:
    """Refuse a setting in [DEFAULT], which holds variables, unless another value refers to it."""
    for key in parsed.defaults():
        if is_setting(key) and key not in _referred_to(text):
            raise SettingsError(
                f"{located(ini, key)}{key}: it has no effect in [DEFAULT], which holds variables: "
                "move it into [app:main]"
            )


def _referred_to(text: str) -> set[str]:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith(("#", ";")))
    return {ours or theirs for line in lines for ours, theirs in _REFERENCE.findall(line)}
