"""The plan of a check, and the steps that it reports."""

from __future__ import annotations

from dataclasses import dataclass

from calotype.model.findings import FindingKind


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of a check.

    `window`: objects younger than so many seconds are left alone. `rate`: bytes a second to read
    all bytes at; None reads none. `repair`: remove what belongs to nobody. `agreed`: how many
    objects of a store an operator agreed to lose, where that must be asked.
    """

    window: float = 3600
    rate: float | None = None
    repair: bool = False
    agreed: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong in a store.

    `key`: that of the image's copy, the location of an orphan, or "" for the store as a whole.
    """

    store: str
    fault: FindingKind
    key: str
    image_id: str | None = None
    detail: str = ""
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Something that was looked at and is well; `key` is where to go on after an interruption."""

    store: str
    key: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A repair that was asked for and not done; `reason` says why and what to do, as full sentences."""

    store: str
    reason: str


Step = Problem | Progress | Refused
