"""The events that each verb writes, in the transaction of its change."""

from __future__ import annotations

import pytest

from calotype.database.errors import StatusConflict
from calotype.images.members import MemberSpec
from calotype.model.change import Change
from calotype.model.fields import ImageFields
from calotype.model.states import Status
from calotype.stores.errors import StoreError
from calotype.testing import Trickle
from calotype.transfers.readers import Announced
from tests.support.workbench import CALLER, Bench


def events(bench: Bench) -> list[tuple[str, str]]:
    """Return the kind and the status of each event."""
    return [(str(one.kind), str(one.status)) for one in bench.database.events.after(0, 100)]


def test_each_verb_writes_the_event_of_its_change(bench: Bench) -> None:
    lifecycle = bench.lifecycle
    image = bench.reserve()
    image = lifecycle.upload(Change(CALLER, ImageFields(), image), Announced(Trickle(b"bytes"), 5))
    lifecycle.update(Change(CALLER, ImageFields(fields={"name": "n"}), image))
    lifecycle.members.share(image, MemberSpec("p"), CALLER)
    lifecycle.add_tag(image, "t", CALLER)
    lifecycle.deactivate(image, CALLER)
    lifecycle.reactivate(image, CALLER)
    lifecycle.members.unshare(image, "p", CALLER)
    lifecycle.delete(image, CALLER)
    assert events(bench) == [
        ("created", "queued"),
        ("changed", "saving"),
        ("activated", "active"),
        ("changed", "active"),
        ("shared", "active"),
        ("changed", "active"),
        ("changed", "deactivated"),
        ("changed", "active"),
        ("shared", "active"),
        ("deleted", "deleted"),
    ]


def test_a_failed_upload_is_an_event_with_the_reason(bench: Bench) -> None:
    class Broken(Trickle):
        def read(self, size: int = -1, /) -> bytes:
            raise StoreError("memory", "it is on fire")

    with pytest.raises(StoreError):
        bench.lifecycle.upload(Change(CALLER, ImageFields(), None), Announced(Broken(b""), 5))
    *_, failed = bench.database.events.after(0, 100)
    assert (failed.kind, failed.status) == ("failed", "killed")
    assert failed.reason is not None
    assert "it is on fire" in failed.reason


def test_a_change_that_is_rolled_back_writes_no_event(bench: Bench) -> None:
    image = bench.reserve()
    before = events(bench)

    def change_and_fail() -> None:
        with bench.database.unit() as unit:
            unit.change(image.id, {image.status}, {"name": "n"})
            unit.move(image.id, {Status.ACTIVE}, Status.DEACTIVATED)

    with pytest.raises(StatusConflict):
        change_and_fail()
    assert events(bench) == before


def test_one_unit_writes_one_event_that_says_the_most(bench: Bench) -> None:
    image = bench.reserve()
    with bench.database.unit() as unit:
        unit.change(image.id, {image.status}, {"name": "n"})
        unit.change(image.id, {image.status}, {"name": "m"})
    with bench.database.unit() as unit:
        unit.change(image.id, {image.status}, {"visibility": "shared"})
        unit.set_member(image.id, "p")
    assert events(bench)[1:] == [("changed", "queued"), ("shared", "queued")]
