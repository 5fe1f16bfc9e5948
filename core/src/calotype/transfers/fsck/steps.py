"""The plan of a check, and the steps that it reports."""

from __future__ import annotations

from dataclasses import dataclass

from calotype.model.findings import FindingKind


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of a check.

    Objects younger than `window` seconds are not judged. `rate` is how many bytes a second the check reads;
    None: it reads no bytes. `repair` removes objects without a row. `agreed` is how many objects of a store
    the operator has agreed to lose, if that many must be confirmed.
    """

    window: float = 3600
    rate: float | None = None
    repair: bool = False
    agreed: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a store.

    `key` is the key of an image's copy, the location of an orphan, or "" for the store as a whole.
    """

    store: str
    fault: FindingKind
    key: str
    image_id: str | None = None
    detail: str = ""
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Something that was checked and is right; an interrupted check can continue after `key`."""

    store: str
    key: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A repair that was not done; `reason` says why and what to do, in full sentences."""

    store: str
    reason: str


Step = Problem | Progress | Refused
