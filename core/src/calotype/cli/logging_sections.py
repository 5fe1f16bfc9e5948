"""Check the logging sections of an ini file, because Python's logging fails with a bare KeyError.

It does not even notice some mistakes. Without [loggers], it ignores all other sections. If a format has an
unknown field, it prints a traceback for each line of the log.
"""

from __future__ import annotations

import ast
import configparser
import logging
import logging.handlers
import re
from collections.abc import Collection, Mapping

from calotype.config.interpolation import SettingsError
from calotype.config.messages import did_you_mean, located, one_line

_SECTION = re.compile(r"(logger|handler|formatter)(s|_.*)?")
_KINDS = ("logger", "handler", "formatter")


class LoggingSections:
    """The logging sections of one ini file."""

    def __init__(self, ini: str, defaults: Mapping[str, str]):
        self._ini = ini
        self._parser = configparser.ConfigParser(defaults)
        self._parser.read(ini)

    def check(self) -> None:
        """Require that logging can be set up with these sections; do nothing if there are none.

        Raises:
            SettingsError: a section, a key or a value is missing or unknown.
        """
        if not any(_SECTION.fullmatch(section) for section in self._parser.sections()):
            return
        loggers, handlers, formatters = (self._names(kind) for kind in _KINDS)
        if "root" not in loggers:
            raise self._error("loggers", "keys", "must include root")
        for name in loggers:
            section = f"logger_{name}"
            self._require(section, "handlers" if name == "root" else "qualname", "handlers")
            self._check_words(section, "handlers", handlers)
        for name in handlers:
            section = f"handler_{name}"
            self._require(section, "class")
            self._check_class(section)
            self._check_args(section)
            self._check_words(section, "formatter", formatters)
        for section in (*(f"logger_{name}" for name in loggers), *(f"handler_{name}" for name in handlers)):
            self._check_words(section, "level", logging.getLevelNamesMapping())
        for name in formatters:
            self._check_format(f"formatter_{name}")

    def _names(self, kind: str) -> list[str]:
        """Return the names that [loggers], [handlers] or [formatters] lists; require a section for each."""
        sections = self._parser.sections()
        listing = f"{kind}s"
        if listing not in sections:
            hint = did_you_mean(listing, sections)
            raise SettingsError(f"{self._ini}: there is no section [{listing}] to list the {listing}{hint}")
        self._require(listing, "keys")
        names = self._words(listing, "keys")
        for name in names:
            section = f"{kind}_{name}"
            if section not in sections:
                hint = did_you_mean(section, sections)
                raise self._error(listing, "keys", f"there is no section [{section}]{hint}")
        return names

    def _words(self, section: str, key: str) -> list[str]:
        words = self._parser.get(section, key, fallback="").split(",")
        return [word.strip() for word in words if word.strip()]

    def _require(self, section: str, *keys: str) -> None:
        for key in keys:
            if key not in self._parser[section]:
                raise SettingsError(f"{self._ini}: [{section}] has no {key}")

    def _check_words(self, section: str, key: str, known: Collection[str]) -> None:
        for word in self._words(section, key):
            if word not in known:
                hint = did_you_mean(word, known)
                raise self._error(section, key, f"{word!r} is not one of: {', '.join(known)}{hint}")

    def _check_class(self, section: str) -> None:
        name = self._parser[section]["class"]
        if name.isidentifier() and not hasattr(logging, name):
            hint = did_you_mean(name, [known for known in dir(logging) if known.endswith("Handler")])
            raise self._error(section, "class", f"Python's logging has no class {name!r}{hint}")

    def _check_args(self, section: str) -> None:
        """Parse the arguments of a handler, which Python's logging evaluates later."""
        try:
            given = ast.parse(self._parser.get(section, "args", fallback="()"), mode="eval").body
        except SyntaxError as error:
            raise self._error(section, "args", f"not a valid Python expression: {error.msg}") from None
        for node in ast.walk(given):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                module = getattr(logging, node.value.id, None)
                if module is not None and not hasattr(module, node.attr):
                    reason = f"module '{node.value.id}' has no attribute '{node.attr}'"
                    raise self._error(section, "args", f"{reason}{did_you_mean(node.attr, dir(module))}")
        if not isinstance(given, (ast.Tuple, ast.List)):
            raise self._error(section, "args", "must be in parentheses, with a comma, such as (sys.stderr,)")

    def _check_format(self, section: str) -> None:
        """Format a record as a test. Skip a formatter that names a class, which may know more fields."""
        if "class" in self._parser[section]:
            return
        given = [self._parser.get(section, key, raw=True, fallback=None) for key in ("format", "datefmt")]
        style = self._parser.get(section, "style", raw=True, fallback="%")
        record = logging.makeLogRecord({})
        try:
            logging.Formatter(given[0], given[1], style).format(record)  # type: ignore[arg-type]
        except ValueError as error:
            field = error.__context__.args[0] if isinstance(error.__context__, KeyError) else None
            if field is None:
                raise self._error(section, "format", one_line(error)) from None
            hint = did_you_mean(field, {*vars(record), "asctime", "message"})
            raise self._error(section, "format", f"a log record has no field {field!r}{hint}") from None

    def _error(self, section: str, key: str, problem: str) -> SettingsError:
        return SettingsError(f"{located(self._ini, key, section=section)}[{section}] {key}: {problem}")
