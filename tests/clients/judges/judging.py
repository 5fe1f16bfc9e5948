"""Run clients from outside this project, each in its own environment, and read their results."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.clients.clients import environment
from tests.servers import common

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Verdict:
    """A client's results: the names of checks, with the messages of those that failed or were skipped."""

    client: str
    passed: list[str]
    failed: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)

    def row(self) -> str:
        """Return the client's row in docs/clients.md."""
        return f"| {self.client} | {len(self.passed)} | {len(self.failed)} | {len(self.skipped)} |"


def installed(name: str) -> Path:
    """Return the bin folder of a judge's environment. Skip the test without it, but not in CI."""
    requirements = HERE / "requirements" / f"{name}.txt"
    try:
        return environment(f"judge-{name}", requirements)
    except common.Failed as error:
        if "CI" in os.environ:
            raise
        pytest.skip(f"{requirements.read_text().split()[0]} cannot be installed: {error}"[:300])


def node_modules(name: str) -> Path:
    """Return the folder with the npm packages of requirements/NAME.json, which is made once.

    Skip the test without it, but not in CI.
    """
    requirements = HERE / "requirements" / f"{name}.json"

    def install(folder: Path) -> None:
        shutil.copy(requirements, folder / "package.json")
        quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
        common.call(["npm", "install", "--prefix", folder, *quiet])

    try:
        if not shutil.which("npm"):
            common.apt("nodejs", "npm")
        return common.installed(f"judge-{name}", requirements.read_text(), install) / "node_modules"
    except common.Failed as error:
        if "CI" in os.environ:
            raise
        pytest.skip(f"{requirements.name} cannot be installed: {error}"[:300])


def packages(*names: str) -> None:
    """Install Debian packages; skips the test where they cannot be installed, but not in CI."""
    try:
        common.apt(*names)
    except common.Failed as error:
        if "CI" in os.environ:
            raise
        pytest.skip(f"{' '.join(names)} cannot be installed: {error}"[:300])


def run(*argv: object, folder: Path, env: Mapping[str, str] | None = None, fails: bool = False) -> str:
    """What a program prints, on both outputs; with `fails`, what it prints on failing."""
    done = subprocess.run(
        [str(word) for word in argv],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", **(env or {})},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1200,
    )
    assert (done.returncode != 0) == fails, f"{argv}\n{done.stdout[-4000:]}"
    return done.stdout


def judge(name: str, *argv: object, folder: Path, env: Mapping[str, str] | None = None) -> Verdict:
    """What the program NAME_judge.py finds, in its environment; its row is printed, for docs/clients.md."""
    program = HERE / f"{name.replace('-', '_')}_judge.py"
    return read(run(installed(name) / "python", program, *argv, folder=folder, env=env))


def read(printed: str) -> Verdict:
    """The verdict in the last line of a program's output."""
    verdict = Verdict(**json.loads(printed.splitlines()[-1]))
    print(verdict.row(), *verdict.failed.values(), sep="\n")
    return verdict
