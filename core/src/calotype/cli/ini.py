"""From an ini file and variables on the command line to settings, for every command."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import plaster

from calotype import former_name
from calotype.registry import RegistryError
from calotype.settings import Settings, SettingsError, read_settings
from calotype.stores.errors import StoreError
from calotype.tokens import TokensNotWritten, TokensUnreadable


def takes_ini(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments INI and VARIABLES, and nothing between them."""
    return ini_argument(variables_argument(command))


def ini_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument INI."""
    return click.argument("ini", type=click.Path(exists=True, dir_okay=False))(command)


def variables_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments NAME=VALUE ..., its last ones."""
    return click.argument("variables", nargs=-1, callback=_read_variables)(command)


def load_settings(ini: str, variables: dict[str, str]) -> Settings:
    """The settings of the ini file's application section.

    Raises:
        SettingsError: one sentence that names the key.
    """
    former_name.check_file(Path(ini))
    loader = plaster.get_loader(ini, protocols=["wsgi"])
    try:
        section = loader.get_wsgi_app_settings(_application(loader), defaults=variables)
    except LookupError as error:
        raise SettingsError(f"{ini} has no application section: {error}") from None
    return read_settings(section.global_conf, section)


def _application(loader: Any) -> str | None:
    """Return the name of the application at the end of a pipeline; None where there is no pipeline."""
    pipeline = loader.get_settings("pipeline:main").get("pipeline", "").split()
    return pipeline[-1] if pipeline else None


class Refusal(click.ClickException):
    """What cannot be done, in one sentence on standard error, exit status 1."""

    def show(self, file: Any = None) -> None:
        """Print in the form that the server's own refusal has."""
        click.echo(f"calotype-manage: {self.message}", err=True)


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Within it, the service's own errors end the command with one sentence."""
    try:
        yield
    except (SettingsError, StoreError, RegistryError, TokensUnreadable, TokensNotWritten) as error:
        raise Refusal(str(error)) from error


def _read_variables(
    context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise click.BadParameter("a variable is NAME=VALUE")
    return {name: value for name, _, value in pairs}
