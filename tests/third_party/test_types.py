"""mypy, run over the installed packages as authors do: it accepts right drivers, and rejects wrong ones."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from tests.support.environment import BLOCKS, FROZEN, Environment
from tests.support.server import ROOT

#: A driver with types, from which each mistake differs in one place.
RIGHT = """
import io

from pydantic import Field

from calotype.stores import Reader, Stored, StoreOptions, WritableStore


class TapeOptions(StoreOptions):
    library: str = Field(description="the library")


class TapeStore(WritableStore[TapeOptions]):
    api_version = (2, 0)
    Options = TapeOptions

    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        return io.BytesIO(self.options.library.encode())

    def size(self, location: str) -> int | None:
        return None

    def add(self, key: str, source: Reader, size: int | None = None) -> Stored:
        return Stored(self.locate(key), size)

    def delete(self, location: str) -> None:
        pass

    def locate(self, key: str) -> str:
        return f"tape:{key}"


def make(options: TapeOptions) -> TapeStore:
    return TapeStore("tape", options)
"""
#: Mistake, a file's name -> the text of the right driver, its replacement, and mypy's words for it.
WRONG = {
    "unknown_option": (
        "self.options.library",
        "self.options.nonsense",
        '"TapeOptions" has no attribute "nonsense"',
    ),
    "wrong_receipt": (
        "-> Stored:\n        return Stored(self.locate(key), size)",
        "-> str:\n        return self.locate(key)",
        'Return type "str" of "add" incompatible with return type "Stored" in supertype',
    ),
    "missing_method": (
        'def locate(self, key: str) -> str:\n        return f"tape:{key}"',
        "pass",
        'Cannot instantiate abstract class "TapeStore" with abstract attribute "locate"',
    ),
}


@pytest.fixture(scope="module")
def errors(installed: Environment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return the errors of each file. One run of mypy reads them all, because the core takes most of it."""
    folder = tmp_path_factory.mktemp("types")
    (folder / "right.py").write_text(RIGHT)
    for name, (right, wrong, _) in WRONG.items():
        assert RIGHT.count(right) == 1
        (folder / f"{name}.py").write_text(RIGHT.replace(right, wrong))
    sources = [path for driver in (BLOCKS, FROZEN) for path in (ROOT / driver / "src").iterdir()]
    installed.pip("install", "--quiet", "mypy")
    command = [installed.python, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=.cache", "."]
    done = subprocess.run([*command, *sources], cwd=folder, capture_output=True, text=True, env={})
    found = defaultdict(list)
    for line in done.stdout.splitlines():
        if match := re.fullmatch(r"(?P<file>.+?):\d+: error: (?P<said>.*)", line):
            found[Path(match["file"]).stem].append(match["said"])
    assert f"Found {sum(map(len, found.values()))} errors" in done.stdout, done.stdout + done.stderr
    return found


def test_the_drivers_of_others_pass_a_strict_check(errors: dict[str, list[str]]) -> None:
    assert set(errors) == set(WRONG)


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_driver_is_rejected_for_its_mistake_alone(errors: dict[str, list[str]], mistake: str) -> None:
    (said,) = errors[mistake]
    assert WRONG[mistake][-1] in said
