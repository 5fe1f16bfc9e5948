"""The mutants that the files in `guards/` list."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parents[2]
GUARDS = Path(__file__).with_name("guards")


class Change(Protocol):
    """A change of one file below the project's root."""

    @property
    def file(self) -> str:
        """The file's path below the root."""

    def apply(self, root: Path) -> None:
        """Make the change in a copy of the project; raise ValueError if the file is not as expected."""


@dataclass(frozen=True)
class Edit:
    """A change of a file below the project's root. `text` must occur once, and becomes `replacement`."""

    file: str
    text: str
    replacement: str

    def apply(self, root: Path) -> None:
        """Make the change in a copy of the project.

        Raises:
            ValueError: the text does not occur exactly once.
        """
        path = root / self.file
        before = path.read_text()
        if before.count(self.text) != 1:
            raise ValueError(f"{self.file}: the text occurs {before.count(self.text)} times: {self.text!r}")
        path.write_text(before.replace(self.text, self.replacement))


@dataclass(frozen=True)
class Mutant:
    """Changed code, and the test that must fail for it. With `more_tests`, one of all the tests must.

    The name of a removed guard begins with the row of docs/security.md, or the case, of its test.
    """

    id: str
    test: str
    edits: tuple[Change, ...]
    more_tests: tuple[str, ...] = ()


def rows_with_a_test(page: Path = ROOT / "docs/security.md") -> list[str]:
    """Return the ids of the rows of the threat catalogue that name a test."""
    return re.findall(r"^\| ([A-Z]+-\d+) \| `[^`]+::", page.read_text(), re.MULTILINE)


def rows_of(mutant: Mutant) -> list[str]:
    """Return the ids of the rows that a removed guard belongs to."""
    return re.findall(r"[A-Z]+-\d+", mutant.id.partition(":")[0])


def load(folder: Path = GUARDS) -> list[Mutant]:
    """Return the mutants of all files in the folder."""
    return [
        Mutant(entry["id"], entry["test"], tuple(Edit(**edit) for edit in entry["edit"]))
        for path in sorted(folder.glob("*.toml"))
        for entry in tomllib.loads(path.read_text())["mutant"]
    ]
