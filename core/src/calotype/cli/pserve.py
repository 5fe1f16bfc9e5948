"""`pserve`: Pyramid's own command, which first looks at what an operator may have mistyped.

PasteDeploy looks for the distributions that an ini file names before it loads anything of ours, and
answers with a traceback when one is missing. So the look has to come before PasteDeploy: see decision 9.
The command ends with an exit status that is not 0 whenever the service could not start.
"""

from __future__ import annotations

import sys
from typing import Any

import plaster
from pyramid.scripts.common import get_config_loader
from pyramid.scripts.pserve import PServeCommand

from calotype.cli.ini_file import arguments_of, check_ini, read_variables, refused, require_file
from calotype.config.interpolation import ARGUMENTS, CommandLineError, SettingsError, expand
from calotype_server.ending import KERNEL_WAITS
from calotype_server.settings import ServerError, ServerSettings

#: The status of a process that Ctrl-C has ended, as shells give it.
_INTERRUPTED = 130
#: The status where the command line itself is wrong; calotype-manage has the same.
_MISTYPED = 2


def main(argv: list[str] | None = None, original_ignore_files: set[str] | None = None) -> int | None:
    """Serve an ini file; return the exit status, or None for 0."""
    argv = sys.argv if argv is None else argv
    command = _Command(argv, original_ignore_files=original_ignore_files)
    try:
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


class _Command(PServeCommand):
    """Pyramid's command, with a sentence for what its own would answer with a traceback."""

    def check(self) -> None:
        """Look at the ini file and the variables, and note them for hints.

        Raises:
            CommandLineError, SettingsError: something is wrong with them.
        """
        args = self.args
        if ":" not in args.config_uri:  # else it has a scheme, such as egg:
            require_file(args.config_uri.partition("#")[0])
        with refused(args.config_uri, "it names no ini file"):
            uri = plaster.parse_uri(args.config_uri)
        variables = read_variables(args.config_vars)
        if not uri.scheme.endswith("egg"):
            check_ini(uri.path, variables)
            typed = arguments_of(uri.path, args.config_vars).replace("%", "%%")
            args.config_vars = [*args.config_vars, f"{ARGUMENTS}={typed}"]

    def reload(self, argv: list[str]) -> None:
        """LeaseMonitor files, and serve in a child of this process that is started anew when one changes.

        Does nothing in the child. Pyramid's own would give the child a second to end, and then kill it.
        """
        import hupper

        if hupper.is_active():
            return
        uri, variables = self.args.config_uri, read_variables(self.args.config_vars)
        loader = self._get_config_loader(uri)
        with refused(uri, "its section [pserve] or [server:main] cannot be read"):
            self.pserve_file_config(loader, global_conf=variables)
            server = loader.get_settings(f"server:{self.args.server_name or 'main'}", variables)
        hupper.start_reloader(
            "calotype.cli.pserve.main",
            reload_interval=int(self.args.reload_interval),
            shutdown_interval=_longest_end(server, getattr(server, "global_conf", {})),
            verbose=self.args.verbose,
            worker_kwargs={"argv": argv, "original_ignore_files": self.ignore_files},
            ignore_files=self.ignore_files,
        )

    @staticmethod
    def _get_config_loader(uri: str) -> Any:
        """Return Pyramid's loader, whose methods say in a sentence what is wrong with the file."""
        with refused(uri, "it cannot be read as an ini file"):
            return _Loader(get_config_loader(uri))


class _Loader:
    """A plaster loader whose errors are SettingsErrors."""

    def __init__(self, loader: Any):
        self._loader = loader
        self.uri = loader.uri

    def setup_logging(self, defaults: dict[str, str] | None = None) -> None:
        """Set up logging as the sections [loggers] and those after it say."""
        with refused(self.uri.path, "its logging sections are wrong"):
            self._loader.setup_logging(defaults)

    def get_settings(self, section: str | None = None, defaults: dict[str, str] | None = None) -> Any:
        """Return the keys of a section."""
        with refused(self.uri.path, f"[{section}] cannot be read"):
            return self._loader.get_settings(section, defaults)

    def get_wsgi_server(self, name: str | None = None, defaults: dict[str, str] | None = None) -> Any:
        """Return what serves an application."""
        with refused(self.uri.path, "its server cannot be loaded"):
            return self._loader.get_wsgi_server(name, defaults)

    def get_wsgi_app(self, name: str | None = None, defaults: dict[str, str] | None = None) -> Any:
        """Return the application."""
        with refused(self.uri.path, "its application cannot be loaded"):
            self._loader.get_wsgi_app_settings(name, defaults)
        # What is raised while it is made is no mistake in the file, and keeps its traceback.
        return self._loader.get_wsgi_app(name, defaults)


def _longest_end(section: Any, variables: Any) -> float:
    """Return the seconds that a server with this section takes to end at most, and some more."""
    given = {
        name: expand(name, section[name], variables)
        for name in ("drain_timeout", "end_timeout")
        if name in section
    }
    settings = ServerSettings(**given)
    return settings.drain_timeout + settings.end_timeout + KERNEL_WAITS
