"""The pytest plugin of the kit: its options, for every run and for a configured store.

Every pytest run in an environment with Calotype loads this plugin. It therefore imports nothing, and does
nothing unless the command line asks for a report or names the module `calotype.testing.live`.
"""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that every run of the kit has."""
    parser.getgroup("calotype").addoption(
        "--calotype-report",
        metavar="FILE",
        help="write the results of Calotype's conformance kit to FILE (JSON), and a badge beside it",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Collect the results of the kit, if the command line asks for them."""
    path = config.getoption("--calotype-report", None)
    if path:
        from calotype.testing.report import KitReport  # noqa: PLC0415 - most runs need no report

        config.pluginmanager.register(KitReport(Path(path)), "calotype-report")


def pytest_load_initial_conftests(parser: pytest.Parser, args: list[str]) -> None:
    """Add the options before arguments are parsed, if the command line names the live kit."""
    if not any(argument.partition("::")[0] == "calotype.testing.live" for argument in args):
        return
    group = parser.getgroup("calotype", "Calotype's conformance kit against a configured store")
    group.addoption("--ini", help="the service's ini file")
    group.addoption("--store", help="the name of one of its stores")
    group.addoption(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable of the ini file",
    )
