"""From an ini file and variables on the command line to settings, for every command."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import click
import plaster

from calotype.app import Service, open_service
from calotype.cli.ini_file import arguments_of, check_ini, read_variables, refused
from calotype.config.interpolation import ARGUMENTS, CommandLineError, SettingsError
from calotype.config.messages import with_arguments
from calotype.config.section import read_settings
from calotype.config.settings import Settings
from calotype.database import migrate
from calotype.database.errors import DatabaseError
from calotype.identity.token_file import TokensNotWritten, TokensUnreadable
from calotype.stores.errors import StoreError


def takes_ini(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments INI and VARIABLES, and nothing between them."""
    return ini_argument(variables_argument(command))


def ini_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument INI."""
    # Not checked by click, because `pserve` says the same of a file that is not there.
    return click.argument("ini", type=click.Path(readable=False))(command)


def variables_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments NAME=VALUE ..., its last ones."""
    return click.argument("variables", nargs=-1, callback=_read_variables)(command)


def load_settings(ini: str, variables: dict[str, str]) -> Settings:
    """Return the settings of the ini file's application section.

    Raises:
        SettingsError: one sentence that names the key.
    """
    check_ini(ini, variables)
    typed = arguments_of(ini, [f"{name}={value}" for name, value in variables.items()])
    with refused(ini, "its application cannot be loaded"):
        loader = plaster.get_loader(ini, protocols=["wsgi"])
        defaults = {**variables, ARGUMENTS: typed.replace("%", "%%")}
        section = loader.get_wsgi_app_settings(_application(loader), defaults=defaults)
    return read_settings(section.global_conf, section)


def _application(loader: Any) -> str | None:
    """Return the name of the application at the end of a pipeline; None where there is no pipeline."""
    pipeline = loader.get_settings("pipeline:main").get("pipeline", "").split()
    return pipeline[-1] if pipeline else None


def open_ready(ini: str, variables: dict[str, str]) -> Service:
    """Open the service, whose database must be there, at this version's schema.

    Raises:
        SettingsError, StoreError, DatabaseError: it cannot be opened, or the schema is another.
    """
    service = open_service(load_settings(ini, variables), makes_database=False)
    try:
        migrate.require_newest(service.database.engine)
    except DatabaseError:
        service.close()
        raise
    return service


class Quantity(click.ParamType):
    """An option that is a size or a time, with the syntax of the ini file."""

    def __init__(self, name: str, parse: Callable[[str], float], least: float, hint: str = ""):
        self.name = name
        self._parse, self._least, self._hint = parse, least, hint

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """Return the number of bytes, or of seconds."""
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
    """Ends a command with one sentence on standard error and exit status 1."""

    def show(self, file: Any = None) -> None:
        """Print in the form that the server's own refusal has."""
        click.echo(f"calotype-manage: {self.message}", err=True)


class Mistyped(Refusal):
    """Ends a command whose command line is wrong, with exit status 2."""

    exit_code = 2


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """End the command with one sentence when the block raises one of the service's own errors."""
    try:
        yield
    except (SettingsError, StoreError, DatabaseError, TokensUnreadable, TokensNotWritten) as error:
        given = click.get_current_context().params
        pairs = [f"{name}={value}" for name, value in given["variables"].items()]
        sentence = with_arguments(str(error), arguments_of(given["ini"], pairs))
        raise (Mistyped if isinstance(error, CommandLineError) else Refusal)(sentence) from error


def _read_variables(
    context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    try:
        return read_variables(given)
    except CommandLineError as error:
        raise Mistyped(str(error)) from None
