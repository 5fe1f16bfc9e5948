"""The section of docs/operations.md on an operator's questions: each command answers."""

from __future__ import annotations

import json
import re
import shlex

import click
import pytest
from click.testing import CliRunner

from calotype.cli.manage import main
from tests.support.forked import run_manage
from tests.support.pages import DOCS
from tests.support.server import Server

SECTION = (DOCS / "operations.md").read_text().partition("## Questions that an operator is asked")[2]
COMMANDS = re.findall(r"^\| .+\? \| `calotype-manage (.+)` \|$", SECTION.partition("\n## ")[0], re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_answers_with_json_objects(command: str, server: Server) -> None:
    name, ini, *options = shlex.split(command)
    assert ini == "INI"
    done = run_manage([name, server.ini, *server.variables, *options], {})

    # Other tests share the server, and may have left something for `doctor` to find.
    assert done.returncode in ((0, 1) if name == "doctor" else (0,)), done.stderr
    assert all(isinstance(json.loads(line), dict) for line in done.stdout.splitlines())


def test_the_section_has_a_command_for_each_overview() -> None:
    assert {
        "transfers",
        "failures",
        "stores",
        "usage",
        "unused",
        "pending",
        "audit",
        "processes",
        "doctor",
    } <= {command.partition(" ")[0] for command in COMMANDS}


def groups(words: tuple[str, ...], command: click.Command) -> list[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        return []
    return [words, *(one for name, sub in command.commands.items() for one in groups((*words, name), sub))]


def test_no_description_of_a_command_is_cut_off_in_80_columns() -> None:
    shown = [
        CliRunner().invoke(main, [*words, "--help"], terminal_width=80).output for words in groups((), main)
    ]
    assert [
        line for text in shown for line in text.splitlines() if line.endswith("...") and "Usage" not in line
    ] == []
