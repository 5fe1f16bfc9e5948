"""The lifecycle with a store whose driver hangs."""

import threading

import pytest

from calotype.model.change import Change
from calotype.model.fields import ImageFields
from calotype.model.images import LocationState
from calotype.model.states import Status
from calotype.stores import bulkhead as bulkheads
from calotype.stores.bulkhead import Bounds, Bulkhead
from calotype.stores.errors import Overdue
from calotype.testing import Trickle
from calotype.transfers.readers import Announced
from tests.support.workbench import CALLER

SOON = 0.2


@pytest.fixture
def hurried(bench, monkeypatch):
    """The bench, with a store whose calls time out soon."""
    for name, seconds in (("LOOK", 0.02), ("STALLED", 0.05), ("BRIEF", 0.02), ("QUEUE", 0.05)):
        monkeypatch.setattr(bulkheads, name, seconds)
    bench.stores["memory"].bulkhead = Bulkhead("memory", Bounds(call_timeout=SOON, stall_timeout=SOON))
    return bench


def test_an_overdue_upload_fails_at_once_and_leaves_its_bytes_to_a_sweep(hurried):
    """r1-D3: another call would take as long again, and the driver may still be writing the bytes."""
    gate, discarded = threading.Event(), []
    real = hurried.store.add

    def add(key, source, size=None):
        assert gate.wait(30)
        return real(key, source, size)

    hurried.store.add, hurried.store.discard = add, discarded.append
    with pytest.raises(Overdue):
        hurried.lifecycle.upload(Change(CALLER, ImageFields()), Announced(Trickle(b"bytes")))

    assert discarded == []
    (row,) = hurried.locations()
    assert (row.state, hurried.status(row.image_id)) == (LocationState.PENDING_DELETE, Status.KILLED)
    assert "it has not answered for 0.2 seconds" in hurried.row(row.image_id).status_reason
    gate.set()


def test_an_upload_to_a_crowded_store_leaves_no_record(hurried):
    """r1-D3: many uploads to a store that hangs must not keep the database busy."""
    hurried.stores["memory"].bulkhead = Bulkhead("memory", Bounds(stall_timeout=SOON, max_uploads=1))
    gate = threading.Event()
    hurried.store.add = lambda key, source, size=None: gate.wait(30)
    with pytest.raises(Overdue):
        hurried.lifecycle.upload(Change(CALLER, ImageFields()), Announced(Trickle(b"bytes")))
    known = hurried.images()
    with pytest.raises(Overdue, match="all 1 of its slots for uploads"):
        hurried.lifecycle.upload(Change(CALLER, ImageFields()), Announced(Trickle(b"bytes")))
    queued = hurried.lifecycle.reserve(Change(CALLER, ImageFields()))
    with pytest.raises(Overdue, match="all 1 of its slots for uploads"):
        hurried.lifecycle.imports.stage(Change(CALLER, ImageFields(), queued), Announced(Trickle(b"bytes")))

    assert set(hurried.images()) == {*known, queued.id}
    assert hurried.status(queued.id) is Status.QUEUED
    gate.set()


def test_a_delete_succeeds_although_the_store_hangs(hurried):
    """r1-D3: the record is deleted, and the bytes are pending delete."""
    image = hurried.lifecycle.upload(Change(CALLER, ImageFields()), Announced(Trickle(b"bytes")))
    gate = threading.Event()
    hurried.store.delete = lambda location: gate.wait(30)
    hurried.lifecycle.delete(image, CALLER)

    assert hurried.status(image.id) is Status.DELETED
    assert [row.state for row in hurried.locations()] == [LocationState.PENDING_DELETE]
    gate.set()
