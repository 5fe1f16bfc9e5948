"""The settings, database and service of a command, and the end of a command if they are wrong."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import click
import plaster

from calotype.app import open_service
from calotype.cli.ini_file import arguments_of, check_ini, read_variables, refused
from calotype.config.interpolation import ARGUMENTS, CommandLineError, SettingsError
from calotype.config.messages import with_arguments
from calotype.config.section import read_settings
from calotype.config.settings import Settings
from calotype.database import migrate
from calotype.database.database import Database
from calotype.database.errors import DatabaseError
from calotype.database.opening import open_database
from calotype.identity.token_file import TokensNotWritten, TokensUnreadable
from calotype.service import Service
from calotype.stores.errors import StoreError

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


def takes_settings(between: Decorator = lambda command: command) -> Decorator:
    """Return a decorator that adds the arguments INI and VARIABLES, and those of `between` between them.

    The command gets the settings in place of INI and VARIABLES. If the command raises one of the service's
    own errors, the process ends with one sentence.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(ini: str, variables: dict[str, str], **given: Any) -> None:
            try:
                command(load_settings(ini, variables), **given)
            except (SettingsError, StoreError, DatabaseError, TokensUnreadable, TokensNotWritten) as error:
                sentence = with_arguments(str(error), arguments_of(ini, _pairs(variables)))
                raise (Mistyped if isinstance(error, CommandLineError) else Refusal)(sentence) from error

        takes_variables = click.argument("variables", nargs=-1, callback=_read_variables)
        # click must not check the file, so that the error messages are those of `pserve`.
        return click.argument("ini", type=click.Path(readable=False))(between(takes_variables(run)))

    return decorate


def load_settings(ini: str, variables: dict[str, str]) -> Settings:
    """Return the settings of the ini file's application section.

    Raises:
        SettingsError: a setting is wrong. The message is one sentence that names the key.
    """
    check_ini(ini, variables)
    typed = arguments_of(ini, _pairs(variables))
    with refused(ini, "its application cannot be loaded"):
        loader = plaster.get_loader(ini, protocols=["wsgi"])
        defaults = {**variables, ARGUMENTS: typed.replace("%", "%%")}
        section = loader.get_wsgi_app_settings(_application(loader), defaults=defaults)
    return read_settings(section.global_conf, section)


def takes_word(name: str, metavar: str) -> Decorator:
    """Return a decorator that adds a required argument between INI and VARIABLES, for `takes_settings`."""
    return click.argument(name, metavar=metavar, callback=_refuse_variable)


@contextlib.contextmanager
def ready_database(settings: Settings) -> Iterator[Database]:
    """Open the database, which must exist and have this version's schema.

    Raises:
        SettingsError, DatabaseError: the database cannot be opened, or has another version's schema.
    """
    with contextlib.closing(open_database(settings, makes_database=False)) as database:
        migrate.require_newest(database.engine)
        yield database


@contextlib.contextmanager
def ready_service(settings: Settings) -> Iterator[Service]:
    """Open the service, whose database must exist and have this version's schema.

    Raises:
        SettingsError, StoreError, DatabaseError: a part cannot be opened, or the database has another
            version's schema.
    """
    with contextlib.closing(open_service(settings, makes_database=False)) as service:
        migrate.require_newest(service.database.engine)
        yield service


class Quantity(click.ParamType):
    """An option that is a size or a time, with the syntax of the ini file."""

    def __init__(self, name: str, parse: Callable[[str], float], least: float, hint: str = ""):
        self.name = name
        self._parse, self._least, self._hint = parse, least, hint

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """Return the number of bytes or seconds."""
        if not isinstance(value, str):
            return value
        try:
            number = self._parse(value)
        except ValueError as error:
            self.fail(f"{error}, not {value!r}", parameter, context)
        if number < self._least:
            self.fail(f"it must be at least {self._least:g}, not {value!r}{self._hint}", parameter, context)
        return number


class Refusal(click.ClickException):
    """An error that ends a command with one sentence on standard error and exit status 1."""

    def show(self, file: Any = None) -> None:
        """Print the sentence in the form of the server's messages."""
        click.echo(f"calotype-manage: {self.message}", err=True)


class Mistyped(Refusal):
    """An error in the command line, which ends the command with exit status 2."""

    exit_code = 2


def _application(loader: Any) -> str | None:
    """Return the name of the application at the end of the pipeline; None if there is no pipeline."""
    pipeline = loader.get_settings("pipeline:main").get("pipeline", "").split()
    return pipeline[-1] if pipeline else None


def _pairs(variables: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in variables.items()]


def _refuse_variable(context: click.Context, parameter: click.Parameter, word: str) -> str:
    """Raise Mistyped if a variable is in the place of another argument. Hide its value: it may be secret."""
    if "=" in word or "://" in word:
        metavar = parameter.make_metavar(context)
        raise Mistyped(f"{metavar} is missing before the variables: write {metavar} after the ini file")
    return word


def _read_variables(
    context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    try:
        return read_variables(given)
    except CommandLineError as error:
        raise Mistyped(str(error)) from None
