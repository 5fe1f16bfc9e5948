"""Every sequence of verbs keeps an image within the state table."""

import contextlib
import hashlib

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from calotype.database.errors import DuplicateImage, ImageNotFound
from calotype.model.change import Change
from calotype.model.errors import Conflict, ImageGone, NoData, NotQueued, Protected
from calotype.model.fields import ImageFields, InvalidRequest, new_id
from calotype.model.images import Image, LocationState
from calotype.model.states import FIRST, NEXT, Status
from calotype.stores import BlobNotFound, SourceBroken, SourceError, StoreError, StoreFull, Unavailable
from calotype.testing import Exploding, MemoryStore, Short, Trickle, pattern
from calotype.transfers.readers import Announced
from core.tests.images.verbs import ACTIVE, DATA, DELETED, KILLED, QUEUED, SAVING, Interrupted, begin
from tests.support.workbench import Moody, make_bench, make_settings

CAP = 5000


#: Cases of an upload: a name, the source, the declared fields, and the error that the store raises.
SOURCES = {
    "fine": lambda data: Trickle(data),
    "explodes": lambda data: Exploding(data, SourceBroken("gone")),
    "fails": lambda data: Exploding(data, ConnectionResetError("gone")),
    "is interrupted": lambda data: Exploding(data, Interrupted()),
    "is short": lambda data: Short(data),
}


STORE_ERRORS = (
    Unavailable("memory", "away"),
    StoreFull("memory", "full"),
    OSError(28, "no room"),
    ValueError("a driver's bug"),
    KeyError("x"),
    MemoryError(),
    Interrupted(),
)


class ImageLives(RuleBasedStateMachine):
    """Random sequences of verbs, compared with the state table and a model of the expected images."""

    template = None
    images = Bundle("images")

    @initialize()
    def begin(self):
        self.stack = contextlib.ExitStack()
        store = Moody(options=MemoryStore.Options(capacity=12_000))
        self.bench = self.stack.enter_context(
            make_bench(self.template, store=store, settings=make_settings(image_size_cap=CAP))
        )
        store.shelf.foreign["there"] = DATA
        # A trigger of the database records each step, also those between two reads of the test.
        self.raw = raw = self.stack.enter_context(contextlib.closing(self.bench.raw()))
        raw.execute("CREATE TABLE steps (image_id, before, after)")
        raw.execute(
            "CREATE TRIGGER stepped AFTER UPDATE OF status ON images WHEN old.status <> new.status "
            "BEGIN INSERT INTO steps VALUES (new.id, old.status, new.status); END"
        )
        raw.execute(
            "CREATE TRIGGER born AFTER INSERT ON images "
            "BEGIN INSERT INTO steps VALUES (new.id, NULL, new.status); END"
        )
        self.statuses: dict[str, Status] = {}
        self.bytes: dict[str, bytes] = {}
        self.stale = {}
        self.protected: set[str] = set()

    def teardown(self):
        if hasattr(self, "stack"):
            self.stack.close()

    # -- rules

    @rule(target=images, size=st.none() | st.integers(0, 4), given_id=st.booleans())
    def reserve(self, size, given_id):
        image = self.bench.lifecycle.reserve(
            Change(
                self.bench.caller, ImageFields(id=new_id() if given_id else None, size=size and size * 1000)
            )
        )
        self.statuses[image.id] = QUEUED
        self.stale[image.id] = image
        return image.id

    @rule(image_id=images, how=st.sampled_from(["reserve", "upload", "register"]))
    def ids_never_come_back(self, image_id, how):
        lifecycle, draft = self.bench.lifecycle, ImageFields(id=image_id, location="memory:there")
        source = Trickle(DATA)
        with pytest.raises(DuplicateImage):
            begin(lifecycle, how, draft, source)

        assert source.given == 0

    @rule(
        target=images,
        to=st.none() | images,
        size=st.sampled_from([0, 1, 1000, 3000, CAP, CAP + 1]),
        source=st.sampled_from(list(SOURCES)),
        length_off=st.sampled_from([None, 0, 0, 1, -1]),
        size_off=st.sampled_from([None, None, 0, 1, -1]),
        digest=st.sampled_from([None, "right", "wrong"]),
        store_error=st.sampled_from([None, None, None, *STORE_ERRORS]),
        late=st.booleans(),
        discard_fails=st.booleans(),
        meanwhile=st.sampled_from([None, None, "delete", "update", "upload", "read"]),
    )
    def upload(
        self, to, size, source, length_off, size_off, digest, store_error, late, discard_fails, meanwhile
    ):
        bench, data = self.bench, pattern(size, seed=len(self.statuses))
        image = self.stale[to] if to else None
        image_id = to or new_id()
        before = self.statuses.get(image_id, QUEUED)
        came = data[:-1] if source == "is short" else data
        reader = SOURCES[source](data)
        events = []
        if meanwhile:
            reader = self._interfere(reader, image_id, meanwhile, events)
        if store_error is not None:
            bench.store.failing["add"], bench.store.late = store_error, late
        if discard_fails:
            bench.store.failing["discard"] = Unavailable("memory", "away")
        draft = ImageFields(
            id=None if to else image_id,
            size=None if size_off is None else max(size + size_off, 0),
            digests=self._digests(digest, data),
        )
        length = None if length_off is None else max(size + length_off, 0)
        try:
            done = bench.lifecycle.upload(Change(bench.caller, draft, image), Announced(reader, length))
        except ImageNotFound:
            assert before is DELETED
        except NotQueued:
            assert before in (ACTIVE, KILLED)
        except InvalidRequest:
            assert max(draft.size or 0, length or 0) > CAP
            if to is None:
                image_id = self.reserve(None, given_id=True)
        except ImageGone:
            assert "deleted" in events
            self.statuses[image_id] = DELETED
        except (SourceError, StoreError, ConnectionResetError, Interrupted):
            self.statuses[image_id] = DELETED if "deleted" in events else KILLED
        else:
            assert before is QUEUED
            assert "deleted" not in events
            assert done.status is ACTIVE
            self.statuses[image_id] = ACTIVE
            self.bytes[image_id] = came
            assert source in ("fine", "is short")
            assert draft.size in (None, len(came))
            assert length in (None, len(came))
            assert digest is None or (digest == "right" and came == data)
        finally:
            bench.store.failing.clear()
            bench.store.late = False
        self.stale.setdefault(image_id, bench.database.find(image_id) or image)
        if self.stale[image_id] is None:  # deleted while its first upload ran
            self.stale[image_id] = self._ghost(image_id)
        return image_id

    @rule(target=images, to=st.none() | images, there=st.booleans())
    def register(self, to, there):
        image = self.stale[to] if to else None
        image_id = to or new_id()
        before = self.statuses.get(image_id, QUEUED)
        draft = ImageFields(id=None if to else image_id, location=f"memory:{'there' if there else 'nowhere'}")
        try:
            done = self.bench.lifecycle.register(Change(self.bench.caller, draft, image))
        except ImageNotFound:
            assert before is DELETED
        except NotQueued:
            assert before in (ACTIVE, KILLED)
        except Conflict:
            assert there
            assert image.size not in (None, len(DATA))
        except BlobNotFound:
            assert not there
            if to is None:
                image_id = self.reserve(None, given_id=True)
        else:
            assert before is QUEUED
            assert there
            self.statuses[image_id] = ACTIVE
            self.bytes[image_id] = DATA
            self.stale.setdefault(image_id, done)
        return image_id

    @rule(image_id=images, protected=st.booleans(), name=st.text("abc", max_size=3))
    def update(self, image_id, protected, name):
        draft = ImageFields(fields={"name": name, "protected": protected}, properties={"p": name})
        try:
            image = self.bench.update(self.stale[image_id], draft)
        except ImageNotFound:
            assert self.statuses[image_id] is DELETED
        else:
            assert self.statuses[image_id] is not DELETED
            assert (image.name, image.properties["p"]) == (name, name)
            (self.protected.add if protected else self.protected.discard)(image_id)

    @rule(image_id=images, store_fails=st.booleans())
    def delete(self, image_id, store_fails):
        if store_fails:
            self.bench.store.failing["delete"] = Unavailable("memory", "away")
        try:
            self.bench.lifecycle.delete(self.stale[image_id], self.bench.caller)
        except ImageNotFound:
            assert self.statuses[image_id] is DELETED
        except Protected:
            assert image_id in self.protected
        else:
            assert image_id not in self.protected
            self.statuses[image_id] = DELETED
        finally:
            self.bench.store.failing.clear()

    @precondition(lambda self: self.statuses)
    @rule(image_id=consumes(images))
    def forget(self, image_id):
        """Stop using the image in further verbs. The invariants still check it."""

    @rule(image_id=images)
    def read(self, image_id):
        image = self.bench.database.find(image_id)
        if self.statuses[image_id] is ACTIVE:
            assert self.bench.read(image) == self.bytes[image_id]
            assert image.size == len(self.bytes[image_id])
        elif image is not None:
            with pytest.raises(NoData):
                self.bench.lifecycle.reading.open(image)

    # -- invariants, which read the database directly, because that is quick

    @invariant()
    def statuses_are_those_of_the_model(self):
        found = self._rows("SELECT id, status, status_reason FROM images")

        assert {image_id: status for image_id, status, _ in found} == self.statuses
        assert [reason for _, status, reason in found if status == KILLED and not reason] == []

    @invariant()
    def every_step_is_in_the_table(self):
        for before, after in self._rows("SELECT before, after FROM steps"):
            if before is None:
                assert after in FIRST
            else:
                assert Status(after) in NEXT[Status(before)]

    @invariant()
    def every_blob_has_one_row_and_no_row_lies(self):
        rows = self._rows("SELECT image_id, 'blob:' || key, state, external FROM image_locations")
        own = [location for _, location, _, external in rows if not external]
        blobs = self.bench.blobs

        assert len(set(own)) == len(own)
        assert set(blobs) <= set(own)
        assert self.bench.store.shelf.attempts == {}
        for image_id, location, state, external in rows:
            if self.statuses[image_id] is ACTIVE:
                assert state == LocationState.STORED
                assert external or blobs[location] == self.bytes[image_id]  # they never change
            else:  # the store has refused to remove these bytes
                assert state == LocationState.PENDING_DELETE
        held = {image_id for image_id, *_ in rows}
        assert {i for i, status in self.statuses.items() if status is ACTIVE} <= held

    # -- helpers

    def _rows(self, query):
        return self.raw.execute(query).fetchall()

    def _digests(self, digest, data):
        if digest is None:
            return {}

        return {"sha256": hashlib.sha256(data).hexdigest() if digest == "right" else "0" * 64}

    def _ghost(self, image_id):
        row = self.bench.row(image_id)
        return Image(image_id, Status(row.status), row.created_at, row.updated_at)

    def _interfere(self, reader, image_id, what, events):
        """Change the image while its bytes arrive, in the same thread."""
        lifecycle, caller = self.bench.lifecycle, self.bench.caller

        def act():
            image = self.bench.database.find(image_id)
            assert image.status is SAVING
            if what == "delete":
                with contextlib.suppress(Protected):
                    lifecycle.delete(image, caller)
                    events.append("deleted")
            elif what == "update":
                self.bench.update(image, ImageFields(properties={"during": "upload"}))
            elif what == "upload":
                other = Trickle(DATA)
                with pytest.raises(NotQueued):
                    lifecycle.upload(Change(caller, ImageFields(), image), Announced(other))
                assert other.given == 0
            else:
                with pytest.raises(NoData):
                    lifecycle.reading.open(image)

        inner, read = reader, reader.read
        state = {"done": False}

        def reading(size=-1, /):
            if not state["done"]:
                state["done"] = True
                act()
            return read(size)

        inner.read = reading
        return inner


def test_every_sequence_of_verbs_stays_within_the_state_table(template):
    class Lives(ImageLives):
        pass

    Lives.template = template
    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_table_of_transitions_names_every_status():
    assert set(NEXT) == set(Status)


@pytest.mark.parametrize("status", Status)
def test_the_refusal_of_an_upload_names_a_remedy_for_every_status(status):
    assert f"This image is {status}; " in str(NotQueued.of("It cannot be given bytes", status))


def test_deleted_is_final_and_only_a_failed_upload_returns_to_queued():
    assert NEXT[DELETED] == set()
    assert {status for status, after in NEXT.items() if QUEUED in after} <= {
        "saving",
        "uploading",
        "importing",
    }
