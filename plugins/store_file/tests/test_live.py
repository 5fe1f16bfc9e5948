"""The kit runs against a store as an ini file configures it, and leaves nothing in it."""

import os
import subprocess
import sys

import pytest

from calotype.testing import Trickle
from calotype_store_file import FileStore

INI = """
[app:main]
use = egg:calotype-core
sqlalchemy.url = sqlite://
calotype.stores = disk
store.disk.driver = file
store.disk.path = ${place}
store.disk.fsync = false
"""


@pytest.fixture
def ini(tmp_path):
    path = tmp_path / "calotype.ini"
    path.write_text(INI)
    return path


@pytest.fixture
def store(tmp_path):
    store = FileStore("disk", FileStore.Options(path=tmp_path / "images"))
    store.create()
    store.add("somebody-elses", Trickle(b"x"), 1)
    return store


def run_live(ini, *arguments, name="disk"):
    plugins = ["-p", "calotype.testing.live_options", "-p", "no:cacheprovider"]
    live = ["--pyargs", "calotype.testing.live", "--ini", str(ini), "--store", name]
    # Under python -O pytest warns of asserts that count for nothing; those of the kit are rewritten.
    warnings = ["-W", "error", "-W", "ignore::pytest.PytestConfigWarning"]
    command = [sys.executable, "-m", "pytest", "-q", *warnings, *plugins, *live, *arguments]
    return subprocess.run(command, cwd=ini.parent, capture_output=True, text=True)


def test_the_kit_passes_against_a_configured_store_and_leaves_nothing(ini, store):
    cases = "range or discard or interrupted"
    result = run_live(ini, "--set", f"place={store.options.path}", "-k", cases)

    assert result.returncode == 0, result.stdout + result.stderr
    assert [blob.location for blob in store.blobs()] == ["file:somebody-elses"]
    assert list(store.attempts()) == []


def test_a_store_whose_directory_is_missing_fails_the_kit(ini, tmp_path):
    result = run_live(ini, "--set", f"place={tmp_path / 'nowhere'}", "-k", "check_returns")

    assert result.returncode == 1
    assert "is its disk mounted" in result.stdout


def test_naming_a_store_that_is_not_configured_is_a_usage_error(ini, tmp_path):
    result = run_live(ini, "--set", f"place={tmp_path}", "-k", "check_returns", name="other")

    assert result.returncode != 0
    assert "has no store 'other'" in result.stdout
    assert os.listdir(tmp_path) == ["calotype.ini"]


def test_the_command_line_options_exist_only_for_the_live_kit(tmp_path):
    command = [sys.executable, "-m", "pytest", "--help"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert "--store" not in result.stdout
