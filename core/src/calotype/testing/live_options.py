"""The pytest plugin behind `pytest --pyargs calotype.testing.live --ini calotype.ini --store NAME`.

It is loaded in every pytest run where Calotype is installed, so it does nothing unless
that module is asked for, and imports nothing.
"""

import pytest


def pytest_load_initial_conftests(parser: pytest.Parser, args: list[str]) -> None:
    """Add the options, when the live kit is to run: before arguments are read, and only then."""
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
