"""Pages of docs/results, which commands write: what was measured, and when, where and how."""

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

#: Distributions that a measurement depends on.
_VERSIONS = ("calotype-core", "pyramid", "waitress", "SQLAlchemy")
_GIB = 1 << 30


def write_page(page: Path, title: str, command: str, *parts: str) -> None:
    """Write a page of results: a title, how they came about, and the parts, which are Markdown.

    `command` is what to type to get the page anew. The arguments of this process are noted beside it.
    """
    rows = {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        "command": f"`{command}`, as `{_command_line()}`",
        "commit": _commit(),
        "machine": machine(),
        "versions": versions(),
    }
    table = ["| | |", "| --- | --- |", *(f"| {name} | {text} |" for name, text in rows.items())]
    note = f"`{command}` writes this page; what is changed here by hand is lost."
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n\n".join([f"# {title}", note, "\n".join(table), *parts]).rstrip() + "\n")


def machine() -> str:
    """Describe this machine in a few words."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{cores} cores, {memory / _GIB:.0f} GiB of memory, {platform.machine()}, Linux {kernel}"


def versions() -> str:
    """Name the versions of what is measured."""
    named = [f"{name} {version(name)}" for name in _VERSIONS]
    return ", ".join([f"Python {platform.python_version()}", *named])


def _command_line() -> str:
    """Return the arguments that this process was started with, without the machine's own paths."""
    program, *arguments = sys.orig_argv
    words = [Path(program).name, *(word.removeprefix(f"{ROOT}/") for word in arguments)]
    return shlex.join(words)


def _commit() -> str:
    """Return the commit of the checkout, and whether something was changed since."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=ROOT, capture_output=True, text=True
    )
    return done.stdout.strip() or "not in a git checkout"
