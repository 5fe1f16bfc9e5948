"""The lifecycle, over a real SQLite database on disk and a store in memory that can fail."""

import contextlib
import datetime
import hashlib
import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

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

from calotype.database.errors import DatabaseUnavailable, DuplicateImage, ImageNotFound
from calotype.images.lifecycle import Lifecycle
from calotype.model.audit import Actor
from calotype.model.change import Change
from calotype.model.changes import ImageFields, InvalidRequest, RequestTooLarge, new_id
from calotype.model.errors import (
    Conflict,
    ImageGone,
    NoData,
    NoGoodCopy,
    NotQueued,
    Protected,
    TakenOver,
    UnknownStore,
)
from calotype.model.images import Image, LocationState, Status, Visibility
from calotype.model.jobs import JobKind
from calotype.model.states import FIRST, NEXT
from calotype.model.uploads import Lease, UploadAttempt
from calotype.stores import (
    BadLocation,
    BlobChanged,
    BlobNotFound,
    SourceBroken,
    SourceError,
    SourceMismatch,
    SourceTooLarge,
    StoreError,
    StoreFull,
    Unavailable,
)
from calotype.testing import Exploding, MemoryStore, Paused, Short, Trickle, pattern
from calotype.transfers.inspection import InspectorsUnavailable
from calotype.transfers.jobs import JobSpec
from calotype.transfers.leases import LeaseMonitor
from calotype.transfers.readers import Announced
from tests.support.workbench import CALLER, Bench, Moody, make_bench, make_settings

DATA = pattern(3000)
CAP = 5000
LEASE = 1.0

QUEUED, SAVING, IMPORTING, ACTIVE, KILLED, DELETED = (
    Status.QUEUED,
    Status.SAVING,
    Status.IMPORTING,
    Status.ACTIVE,
    Status.KILLED,
    Status.DELETED,
)


def begin(lifecycle, verb: str, draft: ImageFields, source: Trickle) -> Image:
    """Make an image in one of the three ways."""
    if verb == "upload":
        return lifecycle.upload(Change(CALLER, draft), Announced(source))
    return getattr(lifecycle, verb)(Change(CALLER, draft))


class Interrupted(BaseException):
    """A worker that is shut down."""


def doors_of_the_database(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> dict:
    """Let COMMITs fail: set `doors["commits"]` to the number that still succeed, and `doors["after"]`

    to say that the one that fails has been carried out all the same.
    """
    doors = {"commits": None, "after": False, "fails": 1}
    dialect = bench.database.engine.dialect
    real = dialect.do_commit

    def commit(connection):
        if doors["commits"] is None:
            return real(connection)
        if doors["commits"] > 0:
            doors["commits"] -= 1
            return real(connection)
        doors["fails"] -= 1
        if doors["fails"] <= 0:
            doors["commits"] = None
        if doors["after"]:
            real(connection)
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(dialect, "do_commit", commit)
    return doors


@pytest.fixture
def hasty(template):
    """A bench with the shortest lease."""
    with make_bench(template, settings=make_settings(lease=LEASE)) as made:
        yield made


@pytest.fixture
def doors(bench, monkeypatch):
    return doors_of_the_database(bench, monkeypatch)


# ---------------------------------------------------------------- any sequence of calls

#: What can happen to an upload: a name, the source, the draft's declarations, what the store raises.
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
    """Any sequence of verbs, held against the state table and a model of what should be there."""

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
        # The database itself writes down each step: what no snapshot between two calls could show.
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
            assert draft.size > CAP
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
        """Nobody asks for it again; the invariants still look at it."""

    @rule(image_id=images)
    def read(self, image_id):
        image = self.bench.database.find(image_id)
        if self.statuses[image_id] is ACTIVE:
            assert self.bench.read(image) == self.bytes[image_id]
            assert image.size == len(self.bytes[image_id])
        elif image is not None:
            with pytest.raises(NoData):
                self.bench.lifecycle.reading.open(image)

    # -- invariants; they read the database from outside, which is quick

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
            else:  # what the store refused to give up
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
        """Do something to the image while its bytes are on their way, in the same thread."""
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


def test_no_sequence_of_verbs_leaves_the_state_table(template):
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


# ---------------------------------------------------------------- the table


def test_the_table_names_every_status():
    assert set(NEXT) == set(Status)


def test_nothing_follows_deleted_and_only_a_failed_upload_returns_to_queued():
    assert NEXT[DELETED] == set()
    assert {status for status, after in NEXT.items() if QUEUED in after} <= {
        "saving",
        "uploading",
        "importing",
    }


# ---------------------------------------------------------------- reserve


def test_a_reserved_image_waits_for_its_bytes(bench):
    image = bench.lifecycle.reserve(
        Change(bench.caller, ImageFields(fields={"name": "a"}, size=7, properties={"k": "v"}))
    )

    assert (image.status, image.name, image.size, image.properties) == (QUEUED, "a", 7, {"k": "v"})
    assert image.visibility is Visibility.PRIVATE
    assert bench.database.find(image.id) == image


def test_an_image_belongs_to_the_project_of_its_maker_unless_the_draft_says_otherwise(bench):
    assert bench.lifecycle.reserve(Change(bench.caller, ImageFields())).owner == "default"
    assert (
        bench.lifecycle.reserve(Change(bench.caller, ImageFields(fields={"owner": "other"}))).owner == "other"
    )


@pytest.mark.parametrize("verb", ["reserve", "upload", "register"])
def test_a_draft_that_breaks_a_rule_records_nothing(bench, verb):
    draft, source = ImageFields(fields={"disk_format": "floppy"}, location="memory:there"), Trickle(DATA)
    with pytest.raises(InvalidRequest):
        begin(bench.lifecycle, verb, draft, source)

    assert bench.images() == []
    assert source.given == 0


# ---------------------------------------------------------------- upload


def test_an_uploaded_image_has_its_size_and_digests(bench):

    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA), len(DATA)))

    assert image.status is ACTIVE
    assert image.size == len(DATA)
    assert image.checksum == hashlib.md5(DATA).hexdigest()
    assert (image.os_hash_algo, image.os_hash_value) == ("sha256", hashlib.sha256(DATA).hexdigest())
    assert image.store == "memory"
    assert bench.read(image) == DATA


def test_each_attempt_has_a_key_of_its_own(bench):
    images = [
        bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
        for _ in range(3)
    ]
    keys = {image.location.key for image in images}

    assert len(keys) == 3
    assert all(image.location.key.startswith(f"{image.id}.") for image in images)


def test_the_intent_stands_in_the_registry_before_the_first_byte_moves(bench):
    seen = []
    source = Paused(DATA, 0, lambda: seen.extend(bench.locations()))
    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(source))

    assert [(row.state, row.key) for row in seen] == [(LocationState.INTENDED, image.location.key)]


def test_no_transaction_is_open_while_bytes_move(bench):
    def write_elsewhere():
        with contextlib.closing(bench.raw()) as raw:
            raw.execute("BEGIN IMMEDIATE")
            raw.execute("COMMIT")

    source = Paused(DATA, 1000, write_elsewhere)

    assert bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(source)).status is ACTIVE


@pytest.mark.parametrize(
    ("source", "draft", "length", "error"),
    [
        (Exploding(DATA, SourceBroken("gone")), ImageFields(), None, SourceBroken),
        (Short(DATA), ImageFields(), len(DATA), SourceBroken),
        (Trickle(DATA), ImageFields(), len(DATA) - 1, SourceBroken),
        (Trickle(DATA), ImageFields(size=len(DATA) + 1), None, SourceMismatch),
        (Trickle(DATA), ImageFields(size=len(DATA) - 1), None, SourceMismatch),
        (Trickle(DATA), ImageFields(digests={"sha256": "0" * 64}), None, SourceMismatch),
        (Trickle(DATA), ImageFields(digests={"md5": "0" * 32}), None, SourceMismatch),
    ],
    ids=["broken", "short", "long", "smaller", "larger", "sha256", "md5"],
)
def test_an_upload_that_breaks_its_promise_is_killed_with_the_reason(bench, source, draft, length, error):
    source.given, source._reads = 0, 0
    with pytest.raises(error) as caught:
        bench.lifecycle.upload(Change(bench.caller, draft), Announced(source, length))
    (image_id,) = bench.images()

    assert bench.status(image_id) is KILLED
    assert bench.row(image_id).status_reason == str(caught.value)
    assert (bench.blobs, bench.locations()) == ({}, [])


def test_a_copy_whose_source_store_holds_other_bytes_says_so(bench):
    """r1-H3: the image's own bytes have changed, so nobody supplied a wrong checksum."""
    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    bench.store.shelf.blobs[image.location.key] = (
        bytes(len(DATA)),
        bench.store.shelf.blobs[image.location.key][1],
    )
    with pytest.raises(BlobChanged, match="store 'memory': it holds other bytes"):
        bench.lifecycle._transfers.copy(image, bench.stores["memory"])

    assert len(bench.blobs) == 1


def bring(bench: Bench, verb: str, image: Image, source) -> None:
    """Upload or stage a queued image's bytes; what fails leaves it queued."""
    if verb == "upload":
        bench.lifecycle.upload(
            Change(bench.caller, ImageFields(), image), Announced(source), on_failure=QUEUED
        )
    else:
        bench.lifecycle.imports.stage(Change(bench.caller, ImageFields(), image), Announced(source))


@pytest.mark.parametrize("verb", ["upload", "stage"])
@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), TypeError("hunter2")])
def test_what_our_own_readers_raise_is_not_called_a_fault_of_the_source(bench, verb, error):
    """r1-H3: the caller gets the error itself, and nothing of the upload is left."""
    image, source = bench.lifecycle.reserve(Change(bench.caller, ImageFields())), Exploding(DATA, error)
    with pytest.raises(type(error)) as caught:
        bring(bench, verb, image, source)

    assert caught.value is error
    assert bench.status(image.id) is QUEUED
    assert "hunter2" not in bench.row(image.id).status_reason
    assert (bench.blobs, bench.locations()) == ({}, [])


def test_a_copy_whose_source_store_fails_names_that_store(bench, monkeypatch):
    """r1-H3: the store that the bytes are copied from is no client's source."""
    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    away = Exploding(DATA[:100], Unavailable("memory", "it is away"))
    monkeypatch.setattr(bench.store, "get", lambda *_: away)
    with pytest.raises(Unavailable, match="it is away"):
        bench.lifecycle._transfers.copy(image, bench.stores["memory"])

    assert len(bench.blobs) == 1


def test_an_upload_over_the_limit_is_cut_off_and_killed(template):
    with make_bench(template, settings=make_settings(image_size_cap=100)) as bench:
        with pytest.raises(SourceTooLarge):
            bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
        (image_id,) = bench.images()

        assert bench.status(image_id) is KILLED
        assert bench.blobs == {}


def test_a_reserved_size_holds_for_the_upload_that_follows(bench):
    image = bench.lifecycle.reserve(Change(bench.caller, ImageFields(size=10)))
    with pytest.raises(SourceMismatch):
        bench.lifecycle.upload(Change(bench.caller, ImageFields(), image), Announced(Trickle(DATA)))


@pytest.mark.parametrize("error", [RuntimeError("password=hunter2"), Interrupted("hunter2")])
@pytest.mark.parametrize("late", [False, True])
def test_what_a_driver_raises_kills_the_image_and_its_text_stays_inside(bench, error, late):
    bench.store.failing["add"], bench.store.late = error, late
    with pytest.raises((StoreError, Interrupted)):
        bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    (image_id,) = bench.images()
    reason = bench.row(image_id).status_reason

    assert bench.status(image_id) is KILLED
    assert type(error).__name__ in reason
    assert "hunter2" not in reason
    assert (bench.blobs, bench.locations()) == ({}, [])


def test_bytes_that_cannot_be_removed_stay_written_down_as_doomed(bench):
    bench.store.failing |= {"add": Unavailable("memory", "away"), "discard": Unavailable("memory", "away")}
    bench.store.late = True
    with pytest.raises(Unavailable):
        bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    (row,) = bench.locations()

    assert row.state == LocationState.PENDING_DELETE
    assert set(bench.blobs) == {f"blob:{row.key}"}


@pytest.mark.parametrize(
    "draft", [ImageFields(store="attic"), ImageFields(store="memory2")], ids=["unknown", "almost"]
)
def test_an_unknown_store_is_refused_before_anything_is_recorded(bench, draft):
    with pytest.raises(UnknownStore, match=draft.store):
        bench.lifecycle.upload(Change(bench.caller, draft), Announced(Trickle(DATA)))

    assert bench.images() == []


def test_without_a_default_an_upload_must_name_its_store(bench):
    bench.stores.default = None
    with pytest.raises(UnknownStore, match="no default"):
        bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))

    assert (
        bench.lifecycle.upload(
            Change(bench.caller, ImageFields(store="memory")), Announced(Trickle(DATA))
        ).store
        == "memory"
    )


def test_a_store_that_takes_no_uploads_is_refused(bench):
    checked = bench.stores["memory"]
    checked.capabilities = type(checked.capabilities)(0)
    with pytest.raises(UnknownStore, match="takes no uploads"):
        bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))


def test_a_second_upload_is_refused_and_its_metadata_is_not_taken(bench):
    image = bench.lifecycle.upload(
        Change(bench.caller, ImageFields(fields={"name": "first"})), Announced(Trickle(DATA))
    )
    source = Trickle(pattern(100, seed=9))
    with pytest.raises(NotQueued):
        bench.lifecycle.upload(
            Change(bench.caller, ImageFields(fields={"name": "second"}), image), Announced(source)
        )
    after = bench.database.find(image.id)

    assert source.given == 0
    assert after == image
    assert bench.read(after) == DATA


def test_of_two_uploads_to_one_queued_image_one_wins_and_the_other_reads_nothing(bench):
    image = bench.lifecycle.reserve(Change(bench.caller, ImageFields()))
    begin, sources = threading.Barrier(2), [Trickle(pattern(3000, seed=n)) for n in range(2)]

    def race(number):
        begin.wait(10)
        try:
            return bench.lifecycle.upload(
                Change(bench.caller, ImageFields(), image), Announced(sources[number])
            )
        except NotQueued:
            return None

    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(race, range(2)))
    (winner,) = [number for number, result in enumerate(results) if result]

    assert sources[1 - winner].given == 0
    assert bench.read(bench.database.find(image.id)) == pattern(3000, seed=winner)
    assert len(bench.blobs) == 1


def test_an_image_deleted_while_its_upload_runs_vanishes_with_its_bytes(bench):
    image = bench.lifecycle.reserve(Change(bench.caller, ImageFields()))
    reached, go_on = threading.Event(), threading.Event()

    def gate():
        reached.set()
        assert go_on.wait(10)

    with ThreadPoolExecutor(1) as threads:
        upload = threads.submit(
            bench.lifecycle.upload,
            Change(bench.caller, ImageFields(), image),
            Announced(Paused(DATA, 1500, gate)),
        )
        assert reached.wait(10)
        bench.lifecycle.delete(image, bench.caller)
        go_on.set()
        with pytest.raises(ImageGone):
            upload.result(10)

    assert bench.status(image.id) is DELETED
    assert (bench.blobs, bench.locations()) == ({}, [])


@pytest.mark.parametrize("store_error", [None, Unavailable("memory", "the parts are gone")])
@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("verb", ["upload", "stage"])
def test_an_upload_that_a_sweep_ended_is_taken_over_whatever_its_store_raises(
    hasty, monkeypatch, verb, deleted, store_error
):
    """r1-H5: only an image that was really deleted is called deleted."""
    bench = hasty
    image = bench.lifecycle.reserve(Change(bench.caller, ImageFields()))
    sweep_during_the_next_add(bench, monkeypatch)
    swept = bench.store.add

    def add(*arguments):
        stored = swept(*arguments)
        if deleted:
            bench.lifecycle.delete(bench.database.find(image.id), bench.caller)
        if store_error is not None:
            raise store_error
        return stored

    bench.store.add = add
    with pytest.raises(ImageGone if deleted else TakenOver):
        bring(bench, verb, image, Trickle(DATA))

    assert bench.status(image.id) is (DELETED if deleted else QUEUED)
    assert (bench.blobs, bench.locations()) == ({}, [])


def test_an_upload_that_fails_after_its_image_was_deleted_leaves_it_deleted(bench):
    image = bench.lifecycle.reserve(Change(bench.caller, ImageFields()))
    source = Paused(DATA, 0, lambda: bench.lifecycle.delete(image, bench.caller))
    with pytest.raises(SourceMismatch):
        bench.lifecycle.upload(Change(bench.caller, ImageFields(size=1), image), Announced(source))

    assert bench.status(image.id) is DELETED
    assert (bench.blobs, bench.locations()) == ({}, [])


# ---------------------------------------------------------------- the database fails (F9)


def test_f9_a_unit_that_is_left_with_an_error_keeps_neither_record_nor_bytes(bench):
    class ViewFailed(Exception):
        pass

    def work():
        with bench.database.unit() as unit:
            unit.add_image(new_id(), {}, {})
            raise ViewFailed

    with pytest.raises(ViewFailed):
        work()

    assert bench.images() == []


def test_f9_a_commit_that_fails_takes_the_bytes_with_it(bench, doors):
    doors["commits"] = 1  # the reservation; the activation fails
    with pytest.raises(DatabaseUnavailable):
        bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    (image_id,) = bench.images()

    assert bench.status(image_id) is KILLED
    assert "not available" in bench.row(image_id).status_reason
    assert (bench.blobs, bench.locations()) == ({}, [])


def test_f9_a_commit_that_fails_only_in_its_answer_keeps_the_bytes(bench, doors):
    doors |= {"commits": 1, "after": True}
    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))

    assert image.status is ACTIVE
    assert bench.status(image.id) is ACTIVE
    assert bench.read(image) == DATA


def test_f9_staged_bytes_stay_when_only_the_answer_to_their_commit_is_lost(bench, doors):
    image = bench.lifecycle.reserve(Change(bench.caller, ImageFields()))
    doors |= {"commits": 1, "after": True}
    with pytest.raises(DatabaseUnavailable):
        bench.lifecycle.imports.stage(Change(bench.caller, ImageFields(), image), Announced(Trickle(DATA)))

    assert bench.status(image.id) is Status.UPLOADING
    assert [row.state for row in bench.locations(image.id)] == [LocationState.STAGED]
    assert [row.counted for row in bench.locations(image.id)] == [len(DATA)]
    assert list(bench.blobs.values()) == [DATA]


def test_f9_a_commit_that_is_still_under_way_when_it_is_looked_for_keeps_the_bytes(bench, doors, monkeypatch):
    doors |= {"commits": 1, "after": True}
    # Whoever looks without waiting for the commit finds the image as it was before.
    monkeypatch.setattr(bench.database, "find", lambda image_id: None)
    with pytest.raises(DatabaseUnavailable):
        bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    monkeypatch.undo()
    (image_id,) = bench.images()

    assert bench.status(image_id) is ACTIVE
    assert bench.read(bench.database.find(image_id)) == DATA


def test_f9_a_commit_that_succeeds_keeps_the_bytes(bench):
    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))

    assert list(bench.blobs.values()) == [DATA]
    assert [row.state for row in bench.locations(image.id)] == [LocationState.STORED]


def test_f9_a_delete_that_is_not_committed_keeps_the_bytes(bench, doors):
    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    doors["commits"] = 0
    with pytest.raises(DatabaseUnavailable):
        bench.lifecycle.delete(image, bench.caller)

    assert bench.status(image.id) is ACTIVE
    assert bench.read(bench.database.find(image.id)) == DATA


def test_f9_a_delete_that_is_committed_takes_the_bytes(bench):
    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    bench.lifecycle.delete(image, bench.caller)

    assert bench.status(image.id) is DELETED
    assert bench.row(image.id).deleted_at is not None
    assert (bench.blobs, bench.locations()) == ({}, [])


@pytest.mark.parametrize("asked", [None, {"image_properties": {"name": "x"}}])
def test_an_order_comes_back_as_it_was_and_only_a_tasks_has_what_older_versions_do_not_read(asked):
    order = JobSpec(("memory",), source="web", uri="http://example.com/", asked=asked)

    assert JobSpec.from_json(order.to_json()) == order
    assert ("asked" in order.to_json()) is (asked is not None)


def test_a_job_whose_process_died_is_begun_again_only_when_its_attempt_is_swept(hasty):
    bench = hasty
    image_id, key = new_id(), f"{new_id()}.attempt"
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)
    with bench.database.unit() as unit:
        unit.add_image(image_id, {"owner": "default"}, {})
        unit.add_job(JobKind.FETCH, unit.image(image_id), JobSpec(("memory",)).to_json(), Actor())
        unit.move(image_id, {QUEUED}, SAVING)
        attempt = UploadAttempt(unit.image(image_id), key, "memory", None, KILLED)
        unit.begin_upload(attempt, Lease("dead", past))

    assert not bench.lifecycle.work()
    assert bench.status(image_id) is SAVING
    assert bench.lifecycle.sweep(once=True).ended == 1
    assert bench.status(image_id) is QUEUED
    assert bench.lifecycle.work()


def test_a_job_during_which_the_registry_was_away_is_begun_again(hasty, monkeypatch):
    bench, doors = hasty, doors_of_the_database(hasty, monkeypatch)
    source = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    image = bench.lifecycle.reserve(Change(bench.caller, ImageFields()))
    order = JobSpec(("memory",), source="memory", location=source.location.location, size=len(DATA))
    with bench.database.unit() as unit:
        unit.add_job(JobKind.FETCH, image, order.to_json(), Actor())
    doors["commits"] = 2  # it is taken, it begins; its end fails
    with pytest.raises(DatabaseUnavailable):
        bench.lifecycle.work()
    assert bench.status(image.id) is QUEUED
    with contextlib.closing(bench.raw()) as database:
        database.execute("UPDATE jobs SET lease_until = '2020-01-01 00:00:00.000000'")

    assert not bench.lifecycle.work()  # its process may live, and have another clock
    time.sleep(LEASE * 2 / 3)
    assert bench.lifecycle.work()
    assert bench.read(bench.database.find(image.id)) == DATA


def sweep_during_the_next_add(bench: Bench, monkeypatch) -> None:
    """Have another process take whoever adds bytes next for dead, as one that was frozen is taken."""
    other = Lifecycle(bench.database, bench.stores, bench.settings)
    added = bench.store.add

    def add(*arguments):
        monkeypatch.undo()
        stored = added(*arguments)
        with monkeypatch.context() as impatient:
            impatient.setattr(LeaseMonitor, "expired", lambda watch, ends: set(ends))
            assert other.sweep().ended == 1
        return stored

    monkeypatch.setattr(bench.store, "add", add)


@pytest.mark.parametrize("before", [QUEUED, IMPORTING])
def test_a_job_whose_bytes_were_swept_while_its_process_stood_still_is_begun_again(
    hasty, monkeypatch, before
):
    bench = hasty
    source = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    image = bench.lifecycle.reserve(Change(bench.caller, ImageFields()))
    order = JobSpec(("memory",), source="memory", location=source.location.location, size=len(DATA))
    with bench.database.unit() as unit:
        unit.add_job(JobKind.FETCH, image, order.to_json(), Actor())
        if before is IMPORTING:
            unit.move(image.id, {QUEUED}, IMPORTING)
    sweep_during_the_next_add(bench, monkeypatch)

    with pytest.raises(TakenOver):
        bench.lifecycle.work()
    assert bench.status(image.id) is before
    with contextlib.closing(bench.raw()) as database:
        database.execute("UPDATE jobs SET lease_until = NULL")
    assert bench.lifecycle.work()
    assert bench.status(image.id) is ACTIVE
    assert bench.read(bench.database.find(image.id)) == DATA
    assert len(bench.blobs) == 2


def test_an_upload_that_cannot_be_inspected_is_killed_and_the_next_one_tries_again(bench, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setitem(sys.modules, "oslo_utils.imageutils", None)  # it cannot be imported
        with pytest.raises(InspectorsUnavailable):
            bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    (image_id,) = bench.images()

    assert bench.status(image_id) is KILLED
    assert bench.row(image_id).status_reason == "Images cannot be inspected at the moment."
    assert (bench.blobs, bench.locations()) == ({}, [])
    assert (
        bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA))).status is ACTIVE
    )


def test_a_reservation_that_is_not_committed_reads_no_byte(bench, doors):
    doors["commits"], source = 0, Trickle(DATA)
    with pytest.raises(DatabaseUnavailable):
        bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(source))

    assert (source.given, bench.images(), bench.blobs) == (0, [], {})


def test_when_the_registry_is_away_at_the_kill_the_intent_stays_written_down(bench, doors):
    doors["commits"] = 1
    with pytest.raises(SourceBroken):  # the error that led here is the one that is told
        bench.lifecycle.upload(
            Change(bench.caller, ImageFields()), Announced(Exploding(DATA, SourceBroken("gone")))
        )
    (image_id,) = bench.images()

    assert bench.status(image_id) is SAVING
    assert [row.state for row in bench.locations()] == [LocationState.INTENDED]


def test_when_the_registry_is_away_at_activation_and_after_it_the_intent_stays_written_down(bench, doors):
    doors |= {"commits": 1, "fails": 2}
    with pytest.raises(DatabaseUnavailable):
        bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    (row,) = bench.locations()

    assert row.state == LocationState.INTENDED
    assert set(bench.blobs) == {f"blob:{row.key}"}


def test_when_the_registry_forgets_to_forget_the_row_stays_doomed(bench, doors):
    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    doors["commits"] = 1  # the delete; forgetting its location fails
    bench.lifecycle.delete(image, bench.caller)

    assert bench.blobs == {}
    assert [row.state for row in bench.locations()] == [LocationState.PENDING_DELETE]


# ---------------------------------------------------------------- register


@pytest.fixture
def there(bench):
    bench.store.shelf.foreign["there"] = DATA
    return "memory:there"


def test_a_registered_image_is_active_and_reads_from_where_it_lies(bench, there):
    image = bench.lifecycle.register(Change(bench.caller, ImageFields(location=there)))

    assert (image.status, image.size, image.checksum) == (ACTIVE, len(DATA), None)
    assert image.location.external
    assert bench.read(image) == DATA


def test_a_queued_image_can_be_registered_and_only_once(bench, there):
    image = bench.lifecycle.reserve(Change(bench.caller, ImageFields()))
    done = bench.lifecycle.register(
        Change(bench.caller, ImageFields(location=there, fields={"name": "n"}), image)
    )

    assert (done.id, done.status, done.name) == (image.id, ACTIVE, "n")
    with pytest.raises(NotQueued):
        bench.lifecycle.register(Change(bench.caller, ImageFields(location=there), image))


@pytest.mark.parametrize(
    ("uri", "error"),
    [
        ("memory:nowhere", BlobNotFound),
        ("memory:NO", BadLocation),
        ("file:///etc/passwd", BadLocation),
        ("", BadLocation),
        (None, BadLocation),
    ],
)
def test_a_location_that_no_store_takes_records_nothing(bench, uri, error):
    with pytest.raises(error):
        bench.lifecycle.register(Change(bench.caller, ImageFields(location=uri)))

    assert bench.images() == []


def test_a_declared_size_that_is_not_the_stored_one_is_refused(bench, there):
    with pytest.raises(Conflict, match="must match"):
        bench.lifecycle.register(Change(bench.caller, ImageFields(location=there, size=1)))

    assert bench.images() == []
    assert (
        bench.lifecycle.register(Change(bench.caller, ImageFields(location=there, size=len(DATA)))).status
        is ACTIVE
    )


def test_deleting_a_registered_image_leaves_what_is_somebody_elses(bench, there):
    image = bench.lifecycle.register(Change(bench.caller, ImageFields(location=there)))
    bench.store.failing["delete"] = AssertionError("the bytes of others were touched")
    bench.lifecycle.delete(image, bench.caller)

    assert bench.store.shelf.foreign["there"] == DATA
    assert "delete" in bench.store.failing
    assert bench.locations() == []


def test_a_registered_source_that_changed_is_not_given_out(bench, there):
    image = bench.lifecycle.register(Change(bench.caller, ImageFields(location=there)))
    bench.store.shelf.foreign["there"] = DATA[::-1]
    with pytest.raises(NoGoodCopy):
        bench.lifecycle.reading.open(image)


# ---------------------------------------------------------------- update


def test_an_update_changes_what_the_draft_names_and_no_more(bench):
    image = bench.lifecycle.reserve(
        Change(bench.caller, ImageFields(fields={"name": "a", "min_ram": 5}, properties={"k": "1", "l": "2"}))
    )
    after = bench.update(image, ImageFields(fields={"name": "b"}, properties={"l": "3", "m": "4"}))

    assert (after.name, after.min_ram) == ("b", 5)
    assert after.properties == {"k": "1", "l": "3", "m": "4"}
    assert after.updated_at > image.updated_at
    assert after.created_at == image.created_at


def test_an_update_of_metadata_never_touches_the_bytes(bench):
    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    after = bench.update(image, ImageFields(size=1, fields={"name": "b"}))

    assert (after.size, after.checksum, after.location) == (image.size, image.checksum, image.location)
    assert bench.read(after) == DATA


def test_properties_that_are_too_many_together_are_refused(template):
    with make_bench(template, settings=make_settings(max_properties=2)) as bench:
        image = bench.lifecycle.reserve(Change(bench.caller, ImageFields(properties={"a": "1", "b": "2"})))
        with pytest.raises(RequestTooLarge):
            bench.update(image, ImageFields(properties={"c": "3"}))

        assert bench.update(image, ImageFields(properties={"a": "9"})).properties["a"] == "9"


def test_a_deleted_image_cannot_be_updated(bench):
    image = bench.lifecycle.reserve(Change(bench.caller, ImageFields()))
    bench.lifecycle.delete(image, bench.caller)
    with pytest.raises(ImageNotFound):
        bench.update(image, ImageFields(fields={"name": "b"}))


# ---------------------------------------------------------------- delete and open


def test_a_protected_image_is_not_deleted_though_the_request_saw_it_unprotected(bench):
    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    bench.update(image, ImageFields(fields={"protected": True}))
    with pytest.raises(Protected):
        bench.lifecycle.delete(image, bench.caller)

    assert bench.read(bench.database.find(image.id)) == DATA


def test_a_delete_whose_store_fails_leaves_the_row_doomed(bench):
    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    bench.store.failing["delete"] = Unavailable("memory", "away")
    bench.lifecycle.delete(image, bench.caller)
    (row,) = bench.locations()

    assert bench.database.find(image.id) is None
    assert (row.state, set(bench.blobs)) == (LocationState.PENDING_DELETE, {f"blob:{row.key}"})


def test_a_delete_of_bytes_that_are_gone_already_is_a_delete(bench):
    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    bench.store.shelf.blobs.clear()
    bench.lifecycle.delete(image, bench.caller)

    assert (bench.status(image.id), bench.locations()) == (DELETED, [])


def test_a_second_delete_finds_nothing(bench):
    image = bench.lifecycle.reserve(Change(bench.caller, ImageFields()))
    bench.lifecycle.delete(image, bench.caller)
    with pytest.raises(ImageNotFound):
        bench.lifecycle.delete(image, bench.caller)


def test_an_image_whose_store_is_not_configured_any_more_can_be_deleted_but_not_read(bench):
    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    del bench.stores.entries["memory"]
    with pytest.raises(StoreError, match="not configured"):
        bench.lifecycle.reading.open(image)
    bench.lifecycle.delete(image, bench.caller)

    assert bench.status(image.id) is DELETED
    assert [row.state for row in bench.locations()] == [LocationState.PENDING_DELETE]


def test_a_part_of_an_image_can_be_opened(bench):
    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    reader = bench.lifecycle.reading.open(image, 100, 50)

    assert reader.read(1000) == DATA[100:150]
    assert reader.read(1000) == b""
    reader.close()
