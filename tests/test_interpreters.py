"""`make interpreters`: which Pythons it finds, what it counts, and which Pythons the distributions name."""

from __future__ import annotations

import configparser
import sys
import tomllib
from pathlib import Path

import pytest

from tests import interpreters
from tests.support.environment import BASE, CLIENT, DRIVERS

SUITE = """
import pytest

def test_passes(): pass
def test_fails(): assert False
def test_breaks(missing_fixture): pass

@pytest.mark.skip
def test_is_not_run(): pass
"""


def write_python(path: Path, script: str) -> Path:
    """What looks like an interpreter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nothing is installed: PATH is its folder `bin`, the home is the folder itself."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one suite to run, by the interpreter that runs this test."""
    path = tmp_path / "test_suite.py"
    monkeypatch.setattr(interpreters, "VERSIONS", ("3.99",))
    monkeypatch.setattr(interpreters, "SUITES", (str(path),))
    monkeypatch.setattr(interpreters, "find", lambda version: Path(sys.executable))
    monkeypatch.setattr(interpreters, "make_environment", lambda version, python: python)
    return path


def test_the_newest_working_interpreter_is_chosen(machine: Path) -> None:
    """r1-E24: the others are pyenv's stand-in, an older one, a broken one, and one of another version."""
    versions = machine / ".pyenv/versions"
    write_python(machine / "bin/python3.12", "exit 127")
    write_python(versions / "3.12.9/bin/python3.12", "echo 3 12 9")
    newest = write_python(versions / "3.12.10/bin/python3.12", "echo 3 12 10")
    write_python(versions / "3.12.11/bin/python3.12", "exit 1")
    write_python(versions / "3.13.0/bin/python3.13", "echo 3 13 0")

    assert interpreters.find("3.12") == newest


def test_a_missing_interpreter_is_reported_and_is_not_a_failure(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """r1-E24: a developer need not have every version."""
    monkeypatch.setattr(interpreters, "VERSIONS", ("3.99",))

    assert interpreters.main([]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["3.99", "not", "run"]


def test_an_environment_that_cannot_be_created_is_a_failure(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """r1-E24: the project does not run where it cannot be installed."""
    monkeypatch.setattr(interpreters, "VERSIONS", ("3.99",))
    write_python(machine / "bin/python3.99", '[ "$1" = -c ] && echo 3 99 0')

    assert interpreters.main([]) == 1
    assert capsys.readouterr().out.splitlines()[-1].split() == ["3.99.0", "not", "installed"]


def test_failed_tests_are_counted_and_fail_the_run(suite: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """r1-E24: a fixture that is missing is a failure too."""
    suite.write_text(SUITE)

    assert interpreters.main(["-p", "no:cacheprovider"]) == 1
    assert " 1 passed, 2 failed, 1 skipped " in capfd.readouterr().out.splitlines()[-1]


def test_a_run_without_failures_succeeds(suite: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """r1-E24: the arguments are passed to pytest, so only one test of this suite runs."""
    suite.write_text(SUITE)

    assert interpreters.main(["-p", "no:cacheprovider", "-k", "passes"]) == 0
    assert " 1 passed, 0 failed, 0 skipped " in capfd.readouterr().out.splitlines()[-1]


def test_a_run_without_a_report_is_a_failure(suite: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """r1-E24: pytest refuses the argument, and runs nothing."""
    assert interpreters.main(["--no-such-option"]) == 1
    assert " no result, exit status 4" in capfd.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("folder", [*BASE, CLIENT, *DRIVERS])
def test_a_distribution_names_the_pythons_that_the_tests_ran_under(folder: str) -> None:
    """r1-E24: `make interpreters` and the distributions have the same list."""
    project = tomllib.loads((interpreters.ROOT / folder / "pyproject.toml").read_text())["project"]
    assert named(project["classifiers"]) == interpreters.VERSIONS
    assert project["requires-python"] == f">={interpreters.VERSIONS[0]}"


def test_the_meta_distribution_names_the_pythons_that_the_tests_ran_under() -> None:
    """r1-E24: the distributions that it combines name the same versions."""
    metadata = configparser.ConfigParser()
    metadata.read(interpreters.ROOT / "setup.cfg")
    assert named(metadata["metadata"]["classifiers"].splitlines()) == interpreters.VERSIONS


def named(classifiers: list[str]) -> tuple[str, ...]:
    """The versions of Python, without the bare 3."""
    versions = (text.removeprefix("Programming Language :: Python :: ") for text in classifiers)
    return tuple(version for version in versions if version.startswith("3."))
