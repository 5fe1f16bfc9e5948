"""The plan of a check, and the steps that it reports."""

from __future__ import annotations

from dataclasses import dataclass

from calotype.model.findings import FindingKind


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of a check.

    Objects younger than `window` seconds are not judged. `rate` is the maximum read rate in bytes per second;
    if it is None, no bytes are read. If `repair` is true, objects without a row are removed. `agreed` is the
    number of removals that the operator has confirmed: a repair that must be confirmed removes no more.
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
    """A copy or an object without a problem. An interrupted check can continue after `key`.

    `image_id` is the image of a copy that a row names, and None for an object that the store lists.
    """

    store: str
    key: str
    image_id: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A repair that was not done; `reason` says why and what to do, in full sentences."""

    store: str
    reason: str


Step = Problem | Progress | Refused
