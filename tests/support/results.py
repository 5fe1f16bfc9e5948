"""Write pages of docs/results, which say when, where and how something was measured."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from tests.support.ini import ROOT

RESULTS = ROOT / "docs" / "results"

#: Distributions whose versions a page names.
_VERSIONS = ("calotype-core", "pyramid", "waitress", "SQLAlchemy")
_GIB = 1 << 30


def write_page(page: Path, title: str, command: str, *parts: str) -> None:
    """Write a page of results: a title, the circumstances, and the parts, which are Markdown.

    `command` is the make command that writes the page. The page also shows the command line of this process.
    """
    rows = {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        "command": f"`{command}`, as `{_command_line()}`",
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
    }
    table = ["| | |", "| --- | --- |", *(f"| {name} | {text} |" for name, text in rows.items())]
    note = f"`{command}` writes this page; the next run overwrites manual changes."
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n\n".join([f"# {title}", note, "\n".join(table), *parts]).rstrip() + "\n")


def machine() -> str:
    """Return a short description of this machine."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{cores} cores, {memory / _GIB:.0f} GiB of memory, {platform.machine()}, Linux {kernel}"


def versions() -> str:
    """Return the versions of Python and the measured distributions."""
    named = [f"{name} {version(name)}" for name in _VERSIONS]
    return ", ".join([f"Python {platform.python_version()}", *named])


def _command_line() -> str:
    """Return the command line of this process, without paths of this machine."""
    program, *arguments = sys.orig_argv
    words = [Path(program).name, *(word.removeprefix(f"{ROOT}/") for word in arguments)]
    return shlex.join(words)


def commit() -> str:
    """Return the commit of the checkout, and whether there are uncommitted changes."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=ROOT, capture_output=True, text=True
    )
    return done.stdout.strip() or "not in a git checkout"
