"""Each command that the pages name exists, with its options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from calotype.cli.manage import main
from tests.docs.sentences import SOURCES
from tests.support.pages import DOCS, ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "production.ini")),
    *DOCS.glob("*.md"),
    *ROOT.glob("plugins/*/README.md"),
]
#: From a command's name to the end of the line, of the inline code, or of the shell command.
_TYPED = re.compile(r"\bcalotype-manage(?! \"\$@\")((?: +(?:\\\n *)?[^\s`|;&<>()#]+)+)")


def typed(page: Path) -> list[list[str]]:
    """Return the arguments of `calotype-manage` wherever a page has it as code."""
    text = page.read_text()
    if page.suffix == ".md":
        fenced = re.findall(r"^```(?!\{literalinclude).*?^```", text, re.M | re.S)
        text = "\n".join(
            [*fenced, *re.findall(r"`[^`]+`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))]
        )
    return [shlex.split(words.replace("\\\n", "")) for words in _TYPED.findall(text)]


def fault(words: list[str]) -> str | None:
    """Return the problem of a command line, or None if the command and its options exist."""
    command: click.Command = main
    while isinstance(command, click.Group) and words:
        name, *words = words
        if name.startswith("-"):
            return None if name in ("--version", "-h", "--help") else f"no option {name}"
        if name not in command.commands:
            return None if name.isupper() else f"no command {name}"
        command = command.commands[name]
    known = {option for parameter in command.params for option in parameter.opts} | {"-h", "--help"}
    given = [word.partition("=")[0] for word in words if word.startswith("-")]
    return next((f"{command.name} has no option {option}" for option in given if option not in known), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_command_that_a_page_names_exists_with_the_options_on_the_page(page: Path) -> None:
    """r1-E20, r1-E21"""
    assert [(words, wrong) for words in typed(page) if (wrong := fault(words))] == []


def test_the_page_for_contributors_names_the_targets_of_make() -> None:
    """r1-E21: neither it nor the README names other targets."""
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M))

    assert targets_on(ROOT / "CONTRIBUTING.md") == targets - {"help", "install", "clean"}
    assert targets_on(ROOT / "README.md") < targets


def targets_on(page: Path) -> set[str]:
    """Return the targets of make that a page has as code."""
    named = re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", page.read_text(), re.M)
    return {one or other for one, other in named}


def test_only_the_variables_that_an_ini_file_names_are_read_from_the_environment() -> None:
    """r1-E21: docs/commands.md says so, and names the exceptions. `pserve` sets those of a reload itself."""
    reading = [path.name for path in SOURCES if re.search(r"os\.(environ|getenv)", path.read_text())]

    assert sorted(reading) == [
        "interpolation.py",
        "notify.py",
        "reload.py",
        "shared_directory.py",
        "shared_metrics.py",
    ]


def test_the_commands_of_a_page_are_found() -> None:
    found = [" ".join(words[:2]) for words in typed(DOCS / "operations.md")]

    assert {"db upgrade", "token add", "scrub resume", "images unquarantine", "fsck INI"} <= set(found)


@pytest.mark.parametrize(
    "words", ["db uprgade INI", "stores INI --chek", "nonsense", "fsck INI --window=0 --fix"]
)
def test_a_command_that_does_not_exist_is_noticed(words: str) -> None:
    assert fault(words.split())
