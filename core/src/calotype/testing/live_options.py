"""The pytest plugin behind `pytest --pyargs calotype.testing.live --ini calotype.ini --store NAME`.

Every pytest run in an environment with Calotype loads it, so it imports nothing, and does nothing unless the
command line names that module.
"""

import pytest


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
