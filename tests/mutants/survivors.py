"""The table `survivors.toml`: why the kit cannot see some changes of a driver."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.engine import Outcome
from tests.mutants.mutator import Spot

TABLE = Path(__file__).with_name("survivors.toml")
#: The kinds of reasons. "equivalent": no caller can see a difference. "beyond": the contract leaves it to the
#: driver, so that only the driver's own tests can decide.
KINDS = ("equivalent", "beyond")


@dataclass(frozen=True)
class Reason:
    """The reason why the kit cannot see a function's changes; `code` and `change` narrow it down."""

    file: str
    where: str
    kind: str
    reason: str
    code: str = ""
    change: str = ""

    def fits(self, spot: Spot) -> bool:
        """Return whether the reason is about this change."""
        return (
            (self.file, self.where) == (spot.file, spot.where)
            and self.code in ("", spot.code)
            and self.change in ("", spot.change)
        )


@dataclass(frozen=True)
class Judged:
    """A change, its outcome under the kit, and the test that noticed it.

    If the change survived the kit, `failed` is one of the driver's own tests or "", and `reason` says why the
    kit cannot see the change.
    """

    spot: Spot
    outcome: Outcome
    failed: str
    reason: Reason | None = None


def load(path: Path = TABLE) -> list[Reason]:
    """Return the reasons of the table."""
    return [Reason(**entry) for entry in tomllib.loads(path.read_text())["survivor"]]


def reason_for(spot: Spot, table: Sequence[Reason]) -> Reason | None:
    """Return the first reason that fits a change."""
    return next((reason for reason in table if reason.fits(spot)), None)
