"""An operator's terminal shows the messages of the command or the server, and no warnings of libraries."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement

from calotype.cli.manage import main
from tests.support.server import ROOT, Server

SCRIPT = Path(sys.executable).with_name("calotype-manage")
#: A script that runs each line of standard input, because a process for each command would take long.
EVERY = """
import sys
from calotype.cli.manage import main
for line in sys.stdin.readlines():  # all of it, so that commands with a question get no answer
    try:
        main(line.split())
    except SystemExit as end:
        print()  # an unanswered question leaves its line open
        print(end.code, line)
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server, started like its commands from a shell without settings for warnings."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("PYTHONWARNINGS", "PYTHONDEVMODE"):
            environment.delenv(name, raising=False)
        server = Server(tmp_path_factory.mktemp("running"))
        yield server
        server.stop()


def printed(command: list[str | Path], lines: str = "") -> str:
    """Return the output on both streams."""
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def leaves(group: click.Group, *words: str) -> Iterator[list[str]]:
    """Yield every command of a group, with INI for its file and `x` for other required arguments."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, *words, name)
        else:
            needed = (parameter for parameter in command.params if parameter.required)
            yield [*words, name, *(word for parameter in needed for word in given(parameter))]


def given(parameter: click.Parameter) -> list[str]:
    """Return the arguments for a parameter."""
    if isinstance(parameter, click.Option):
        return [parameter.opts[0], "x"]
    return ["INI" if parameter.name == "ini" else "x"]


def test_a_server_that_starts_shows_no_warning_of_a_library(running: Server) -> None:
    """r1-E24: with setuptools 80.9, the output began with a warning of pkg_resources."""
    assert "Warning" not in running.log


def test_the_help_of_the_command_shows_no_warning_of_a_library(running: Server) -> None:
    """r1-E24: this test runs the installed script."""
    shown = printed([SCRIPT, "--help"])
    assert "Usage: calotype-manage" in shown
    assert "Warning" not in shown


def test_no_command_shows_a_warning_of_a_library(running: Server) -> None:
    """r1-E24: some commands refuse `x` with their own message, and `new` refuses the name of a file."""
    commands = [[str(running.ini) if word == "INI" else word for word in words] for words in leaves(main)]
    lines = [" ".join([*words, *running.variables]) for words in commands]
    shown = printed([sys.executable, "-c", EVERY], "\n".join(lines))

    ended = [line for line in shown.splitlines() if line[2:] in lines]
    assert [line[2:] for line in ended] == lines
    assert {line[0] for line in ended} == {"0", "1", "2"}
    assert "Warning" not in shown


def test_the_core_asks_for_a_setuptools_that_does_not_warn() -> None:
    """r1-E24: tested here, because environments of Python 3.11 start with an older version."""
    project = tomllib.loads((ROOT / "core" / "pyproject.toml").read_text())["project"]
    (asked,) = (
        need.specifier for need in map(Requirement, project["dependencies"]) if need.name == "setuptools"
    )
    assert "80.8.0" in asked  # the last one with a DeprecationWarning, which Python hides
    assert "80.9.0" not in asked  # the first one with a UserWarning, which Python prints
