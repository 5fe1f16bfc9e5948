"""`pserve`: Pyramid's own command, with a check of the ini file and of the command line before it.

PasteDeploy searches for the distributions that an ini file names before it loads any of our code, and fails
with a traceback when one is missing. So the check comes before PasteDeploy: see decision 9. The exit status
is not 0 if the service could not start.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import hupper
import plaster
from paste.deploy.loadwsgi import SERVER, loadcontext
from pyramid.scripts.common import get_config_loader
from pyramid.scripts.pserve import PServeCommand

from calotype.cli.ini_file import arguments_of, check_ini, read_ini, read_variables, refused
from calotype.cli.logging_sections import LoggingSections
from calotype.config.interpolation import ARGUMENTS, CommandLineError, SettingsError
from calotype.config.messages import without_password
from calotype.config.quantities import parse_seconds, parse_size
from calotype.config.section import Section
from calotype.starting import CHECKED, FORKS, UNCHECKED
from calotype_server import ServerError, ServerSettings, ServerSettingsError, serve, serve_paste
from calotype_server.ending import KERNEL_WAITS
from calotype_server.kinds import seconds, size
from calotype_server.reload import is_inherited, is_next

log = logging.getLogger(__name__)

#: The exit status of a process that Ctrl-C has ended, as in shells.
_INTERRUPTED = 130
#: The exit status if the command line itself is wrong, as in calotype-manage.
_MISTYPED = 2
#: Kind of server setting -> the parser of its text, which may have a unit. Other kinds have no units.
_UNITS: dict[Callable[[Any], Any], Callable[[str], Any]] = {size: parse_size, seconds: parse_seconds}
#: Prefixes of the image headers whose names clients write with `_`.
_PREFIXES = ("x-image-meta-", "x-glance-")


def main(argv: list[str] | None = None, original_ignore_files: set[str] | None = None) -> int | None:
    """Serve the application of an ini file. Return the exit status, or None for 0."""
    argv = sys.argv if argv is None else argv
    try:
        _refuse_dashes(argv[1:])
        command = _Command(argv, original_ignore_files=original_ignore_files)
        if command.args.config_uri:
            command.check()
        if command.args.reload:
            command.reload(argv)
        return command.run()
    except (SettingsError, ServerError) as error:
        print(f"calotype: {error}", file=sys.stderr)  # noqa: T201
        return _MISTYPED if isinstance(error, CommandLineError) else 1
    except KeyboardInterrupt:
        return _INTERRUPTED


def _refuse_dashes(words: list[str]) -> None:
    """Refuse a variable that is written like an option, about which argparse would only print its usage.

    Raises:
        CommandLineError: there is such a word.
    """
    options = [option for action in PServeCommand.parser._actions for option in action.option_strings]
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        if word.startswith("--") and equals and not any(one.startswith(f"--{name}") for one in options):
            shown = without_password(f"{name}={value}")
            raise CommandLineError(f"there is no option --{name}: a variable has no dashes: write {shown}")


class _Command(PServeCommand):
    """Pyramid's command, with a sentence instead of a traceback for each mistake."""

    def check(self) -> None:
        """Check the ini file and the variables, and keep them for the commands in messages.

        Raises:
            CommandLineError, SettingsError: the ini file or a variable is wrong.
        """
        args = self.args
        # An argument with a colon is a URI, such as egg:NAME. One with a password is a misplaced variable.
        if ":" not in args.config_uri or without_password(args.config_uri) != args.config_uri:
            read_ini(args.config_uri.partition("#")[0])
        with refused(args.config_uri, "it names no ini file"):
            uri = plaster.parse_uri(args.config_uri)
        variables = read_variables(args.config_vars)
        if not uri.scheme.endswith("egg"):
            check_ini(uri.path, variables)
            typed = arguments_of(uri.path, args.config_vars).replace("%", "%%")
            args.config_vars = [*args.config_vars, f"{ARGUMENTS}={typed}"]

    def reload(self, argv: list[str]) -> None:
        """Serve in a child process, and restart the child when a watched file changes.

        In the child, do nothing. Pyramid's own way is not used, because it kills the child after a second.
        """
        if hupper.is_active():
            return
        uri, variables = self.args.config_uri, read_variables(self.args.config_vars)
        loader = self._get_config_loader(uri)
        with refused(uri, "its section [pserve] or [server:main] cannot be read"):
            self.pserve_file_config(loader, global_conf=variables)
            settings = loader.server_settings(self.args.server_name, variables) or ServerSettings()
        hupper.start_reloader(
            "calotype.cli.pserve.main",
            reload_interval=int(self.args.reload_interval),
            shutdown_interval=settings.drain_timeout + settings.end_timeout + KERNEL_WAITS,
            verbose=self.args.verbose,
            worker_kwargs={"argv": argv, "original_ignore_files": self.ignore_files},
            ignore_files=self.ignore_files,
        )

    @staticmethod
    def _get_config_loader(uri: str) -> Any:
        """Return Pyramid's loader, with a sentence for each mistake in the file."""
        with refused(uri, "it cannot be read as an ini file"):
            return _Loader(get_config_loader(uri))


class _Loader:
    """A plaster loader whose errors are SettingsErrors."""

    def __init__(self, loader: Any):
        self._loader = loader
        #: True if the server that get_wsgi_server returned will fork.
        self._forks = False
        self.uri = loader.uri

    def setup_logging(self, defaults: dict[str, str] | None = None) -> None:
        """Set up logging from the ini file's logging sections, after a check of them."""
        with refused(self.uri.path, "its logging sections are wrong"):
            LoggingSections(self.uri.path, self._loader._get_defaults(defaults)).check()
            self._loader.setup_logging(defaults)

    def get_settings(self, section: str | None = None, defaults: dict[str, str] | None = None) -> Any:
        """Return the settings of a section."""
        with refused(self.uri.path, f"[{section}] cannot be read"):
            return self._loader.get_settings(section, defaults)

    def get_wsgi_server(self, name: str | None = None, defaults: dict[str, str] | None = None) -> Any:
        """Return a function that serves an application."""
        settings = self.server_settings(name, defaults)
        if settings is not None:
            if hupper.is_active():  # it watches files in a thread, and restarts the process
                settings = settings.changed(processes=1)
            self._forks = settings.processes > 1 or is_inherited()
            self._warn_of_dropped_headers(settings)
            return partial(serve, settings=settings)
        with refused(self.uri.path, "its server cannot be loaded"):
            return self._loader.get_wsgi_server(name, defaults)

    def _warn_of_dropped_headers(self, settings: ServerSettings) -> None:
        allowed = tuple(prefix.lower() for prefix in settings.underscore_headers)
        dropped = [prefix for prefix in _PREFIXES if not (allowed and prefix.startswith(allowed))]
        if dropped:
            log.warning(
                "%s: [server:main] has no underscore_headers = %s: headers with `_` in their names, such as "
                "x-image-meta-disk_format, are dropped, so images lack metadata that their clients sent",
                self.uri.path,
                " ".join(dropped),
            )

    def server_settings(self, name: str | None, defaults: dict[str, str] | None) -> ServerSettings | None:
        """Return the settings of the server that the file names; None if it is not calotype-server."""
        with refused(self.uri.path, "its server cannot be loaded"):
            context = loadcontext(
                SERVER,
                self._loader.pastedeploy_spec,
                name=name or self.uri.fragment or None,
                relative_to=self._loader.relative_to,
                global_conf=self._loader._get_defaults(defaults),
            )
            is_ours = context.object is serve_paste
        return _read(Section("server", context.local_conf, context.global_conf)) if is_ours else None

    def get_wsgi_app(self, name: str | None = None, defaults: dict[str, str] | None = None) -> Any:
        """Return the application."""
        with refused(self.uri.path, "its application cannot be loaded"):
            self._loader.get_wsgi_app_settings(name, defaults)
        if self._forks:
            defaults = {**(defaults or {}), FORKS: CHECKED if is_next() else UNCHECKED}
        # An exception while the application is made is a bug, and not a mistake in the file.
        return self._loader.get_wsgi_app(name, defaults)


def _read(section: Section) -> ServerSettings:
    """Return the server's settings; in the ini file, sizes and times may have units.

    Raises:
        SettingsError: a setting is wrong.
    """
    # Do not use `str`, because it would convert an Indirect, whose value messages must hide, to plain text.
    parsers: dict[str, Callable[[str], Any]] = dict.fromkeys(ServerSettings.known(), lambda text: text)
    for name, setting in ServerSettings.declared.items():
        parsers[name] = _UNITS.get(setting.kind, parsers[name])
    try:
        return ServerSettings(**section.read(parsers))
    except ServerSettingsError as error:
        raise section.error(error.key, str(error)) from None
