"""Run the unit suites and the functional suite under each Python version that the project supports.

    python -m tests.interpreters [ARGUMENTS of pytest]

Each version has an environment of its own, such as `.venv-3.12`, which is kept for the next run. An
interpreter that is not on this machine is reported as "not run". The exit status is 1 if a run failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.11", "3.12", "3.13")
SUITES = (
    "core/tests",
    "server/tests",
    "client/tests",
    "plugins/store_file/tests",
    "plugins/metadefs/tests",
    "plugins/console/tests",
    "tests/functional",
)

#: Prints a version as numbers; ends otherwise where no environment could be made (Debian's python3 alone).
_TELL = "import sys, venv, ensurepip; print(*sys.version_info[:3])"


class Row(NamedTuple):
    """A line of the table."""

    python: str
    result: str
    seconds: str = ""
    failed: bool = False


def main(arguments: list[str]) -> int:
    """Run the suites under every interpreter there is, print the table, and return the exit status."""
    rows = [run(version, arguments) for version in VERSIONS]
    print(f"\n{table(rows)}")
    return int(any(row.failed for row in rows))


def run(version: str, arguments: list[str]) -> Row:
    """Run the suites under that version, in its own environment."""
    python = find(version)
    if python is None:
        return Row(version, "not run")
    patch = ".".join(map(str, tell(python)))
    print(f"\n== Python {patch}", flush=True)
    try:
        own = make_environment(version, python)
    except subprocess.CalledProcessError:
        return Row(patch, "not installed", failed=True)
    start = time.monotonic()
    result, passed = run_suites(own, arguments)
    return Row(patch, result, f"{time.monotonic() - start:.0f}", failed=not passed)


def find(version: str) -> Path | None:
    """The newest interpreter of that version that works: on PATH, or below ~/.pyenv."""
    on_path = [Path(folder) / f"python{version}" for folder in os.get_exec_path()]
    of_pyenv = Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")
    return max(filter(tell, [*on_path, *of_pyenv]), key=tell, default=None)


def tell(python: Path) -> tuple[int, ...]:
    """An interpreter's version; nothing when it does not work, as pyenv's stand-ins do not."""
    try:
        done = subprocess.run([python, "-c", _TELL], capture_output=True, text=True)
    except OSError:
        return ()
    return tuple(map(int, done.stdout.split())) if done.returncode == 0 else ()


def make_environment(version: str, python: Path) -> Path:
    """The interpreter of that version's environment, with what `make test` has in its own."""
    home = ROOT / f".venv-{version}"
    own = home / "bin" / "python"
    if tell(own) != tell(python):
        subprocess.run([python, "-m", "venv", "--clear", home], check=True)
    install = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for requirements in ("requirements.txt", "requirements-dev.txt"):
        subprocess.run([*install, "-r", requirements], cwd=ROOT, check=True)
    return own


def run_suites(python: Path, arguments: Iterable[str]) -> tuple[str, bool]:
    """How many tests passed, failed and so on, and whether all is well."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [python, "-m", "pytest", *SUITES, f"--junit-xml={report}", *arguments]
        status = subprocess.run(command, cwd=ROOT).returncode
        counted = count(report) if report.exists() else f"no result, exit status {status}"
    return counted, status == 0


def count(report: Path) -> str:
    """What pytest's report counts, in words: 3 passed, 0 failed, 1 skipped."""
    suite = ElementTree.parse(report).getroot()[0]
    tests, failures, errors, skipped = (
        int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    return f"{tests - failed - skipped} passed, {failed} failed, {skipped} skipped"


def table(rows: Iterable[Row]) -> str:
    """The rows below their headings, in columns."""
    cells = [Row("Python", "result", "seconds"), *rows]
    wide = max(len(row.result) for row in cells)
    lines = (f"{row.python:8}  {row.result:{wide}}  {row.seconds:>7}" for row in cells)
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
