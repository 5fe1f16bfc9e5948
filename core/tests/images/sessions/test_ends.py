"""Sessions end: aborted, expired, refused, deleted or given away, and leave nothing."""

import datetime

import pytest
from sqlalchemy import update

from calotype.database.errors import LimitReached
from calotype.database.tables import SessionRow
from calotype.model.audit import AuditQuery
from calotype.model.change import Change
from calotype.model.errors import ImageGone, NotAllowed, NotFound, NotQueued, OpenSession, SessionEnded
from calotype.model.fields import ImageFields, RequestTooLarge
from calotype.model.policy import Caller
from calotype.model.states import Status
from calotype.model.usage import Usage
from calotype.stores import SourceMismatch, SourceRejected, SourceTooLarge, Unavailable
from calotype.testing import Trickle, pattern
from calotype.transfers.readers import Announced
from calotype.transfers.sessions.chunks import Chunk
from core.tests.images.sessions.benches import CELL

DATA = pattern(3 * CELL + 17)
OTHER = Caller(user="eve", project="elsewhere", roles=frozenset({"member"}))


def expire(bench, session) -> None:
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)
    with bench.database.unit() as unit:
        unit.connection.execute(
            update(SessionRow.__table__).where(SessionRow.id == session.id).values(expires_at=past)
        )


def half(bench, **options):
    session = bench.begin(len(DATA), **options)
    return bench.write(session, 0, DATA[:1500])


@pytest.mark.parametrize(("on_failure", "status"), [(Status.KILLED, "killed"), (Status.QUEUED, "queued")])
def test_an_aborted_session_leaves_no_bytes(bench, on_failure, status):
    session = half(bench, on_failure=on_failure)
    bench.abort(session)

    assert bench.row(session.image_id).status == status
    assert bench.row(session.image_id).status_reason == "The client has ended the upload."
    bench.assert_nothing_left()
    for verb in (bench.abort, bench.finish, bench.state):
        with pytest.raises(SessionEnded, match="client has ended"):
            verb(session)


@pytest.mark.parametrize(("on_failure", "status"), [(Status.KILLED, "killed"), (Status.QUEUED, "queued")])
def test_an_expired_session_leaves_no_bytes(bench, on_failure, status):
    session = half(bench, on_failure=on_failure)
    bench.lifecycle.sweep()
    assert bench.state(session).offset == 1500
    expire(bench, session)
    bench.lifecycle.sweep()

    assert bench.row(session.image_id).status == status
    assert "has expired" in bench.row(session.image_id).status_reason
    bench.assert_nothing_left()
    with pytest.raises(SessionEnded, match="has expired"):
        bench.write(session, 1500, DATA[1500:])


def test_bytes_that_arrive_extend_a_session(bench):
    session = half(bench)
    expire(bench, session)
    bench.write(session, 1500, DATA[1500:2000])
    bench.lifecycle.sweep()

    assert bench.state(session).offset == 2000


def test_an_ended_session_is_forgotten_after_a_while(bench):
    session = half(bench)
    bench.abort(session)
    expire(bench, session)
    bench.lifecycle.sweep()

    with pytest.raises(NotFound):
        bench.state(session)


def test_deleting_the_image_ends_its_session(bench):
    session = half(bench)
    bench.lifecycle.delete(bench.database.find(session.image_id), bench.caller)

    bench.assert_nothing_left()
    assert bench.database.usage("default") == Usage(0, 0)
    with pytest.raises(SessionEnded, match="deleted"):
        bench.write(session, 1500, DATA[1500:])


def test_giving_the_image_to_another_project_ends_its_session(bench):
    session = half(bench)
    bench.update(bench.database.find(session.image_id), ImageFields(fields={"owner": "elsewhere"}))

    bench.assert_nothing_left()
    assert bench.status(session.image_id) == "queued"
    with pytest.raises(SessionEnded):
        bench.finish(session)


def test_other_requests_cannot_give_bytes_to_an_image_with_an_open_session(bench):
    session = half(bench)
    image = bench.database.find(session.image_id)
    change = Change(bench.caller, ImageFields(), image)
    verbs = [
        lambda: bench.lifecycle.upload(change, Announced(Trickle(b"x"))),
        lambda: bench.lifecycle.imports.stage(change, Announced(Trickle(b"x"))),
        lambda: bench.begin(1, image=image),
    ]
    for verb in verbs:
        with pytest.raises(OpenSession):
            verb()

    assert bench.state(session).offset == 1500


def test_an_image_that_is_not_queued_takes_no_session(bench):
    image = bench.upload(b"bytes")
    with pytest.raises(NotQueued):
        bench.begin(1, image=image)


def test_an_aborted_image_of_v2_takes_another_session(bench):
    session = half(bench, on_failure=Status.QUEUED)
    bench.abort(session)
    session = bench.begin(len(DATA), image=bench.database.find(session.image_id))
    assert bench.row(session.image_id).status_reason is None
    bench.write(session, 0, DATA)

    bench.assert_image(bench.finish(session), DATA)


def test_the_session_of_another_project_is_not_found(bench):
    session, verbs = half(bench), bench.sessions
    calls = [
        lambda: verbs.write(session.id, OTHER, Chunk(1500, Announced(Trickle(b"x")))),
        lambda: verbs.announce(session.id, OTHER, len(DATA)),
        lambda: verbs.state(session.id, OTHER),
        lambda: verbs.state(session.id, OTHER, ends_writers=True),
        lambda: verbs.finish(session.id, OTHER),
        lambda: verbs.abort(session.id, OTHER),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call()

    assert bench.state(session).offset == 1500


def test_a_caller_that_has_lost_its_right_is_refused(make):
    bench = make("free")
    bench.inner.caller = Caller(user="ann", project="default", roles=frozenset({"member"}))
    session = half(bench)
    bench.inner.caller = Caller(user="ann", project="default", roles=frozenset({"reader"}))
    for verb in (bench.finish, bench.state, bench.abort):
        with pytest.raises(NotAllowed):
            verb(session)


def test_the_length_counts_against_the_quota_until_the_session_ends(make):
    bench = make("free", project_bytes=4000)
    session = bench.begin(3000)
    assert bench.database.usage("default").bytes == 3000
    with pytest.raises(LimitReached):
        bench.begin(1001)
    bench.abort(session)

    assert bench.database.usage("default").bytes == 0


@pytest.mark.parametrize("kind", ["free", "celled", "whole"])
def test_bytes_of_unknown_length_count_as_they_arrive(make, kind):
    bench = make(kind, project_bytes=1900)
    session = bench.begin(None)
    bench.write(session, 0, DATA[:1500])
    assert bench.database.usage("default").bytes == 1500
    with pytest.raises(LimitReached):
        bench.write(session, 1500, DATA[1500:])

    assert bench.state(session).offset == 1500
    assert bench.database.usage("default").bytes == 1500
    bench.abort(session)
    bench.assert_nothing_left()


def test_the_number_of_open_sessions_is_limited(make):
    bench = make("free", project_uploads=2)
    session = bench.begin(1)
    bench.begin(1)
    with pytest.raises(LimitReached, match="2 open upload sessions"):
        bench.begin(1)
    bench.abort(session)
    bench.begin(1)


def test_a_session_larger_than_the_limit_is_refused(make):
    bench = make("free", image_size_cap=100)
    with pytest.raises(RequestTooLarge):
        bench.begin(101)
    session = bench.begin(None)
    with pytest.raises(SourceTooLarge):
        bench.write(session, 0, Announced(Trickle(bytes(101))))
    assert bench.images() == [session.image_id]


def test_bytes_with_another_digest_than_declared_are_refused_at_the_end(bench):
    session = bench.begin(len(DATA), ImageFields(digests={"md5": "0" * 32}))
    bench.write(session, 0, DATA)
    with pytest.raises(SourceMismatch):
        bench.finish(session)

    assert bench.status(session.image_id) == "killed"
    bench.assert_nothing_left()


@pytest.mark.parametrize("size", [len(DATA), 700])
def test_bytes_of_a_refused_format_are_refused_at_the_end(bench, size):
    qcow2 = b"QFI\xfb" + DATA[4:]
    session = bench.begin(len(DATA), ImageFields(fields={"disk_format": "raw", "container_format": "bare"}))
    for offset in range(0, len(qcow2), size):
        bench.write(session, offset, qcow2[offset : offset + size], alone=size == len(DATA))
    with pytest.raises(SourceRejected):
        bench.finish(session)

    assert bench.status(session.image_id) == "killed"
    bench.assert_nothing_left()


def test_a_store_that_is_away_leaves_the_session_complete(make):
    bench = make("whole")
    session = bench.begin(len(DATA))
    bench.write(session, 0, DATA)
    bench.store.failing["add"] = Unavailable("memory", "away")
    with pytest.raises(Unavailable):
        bench.finish(session)
    assert bench.status(session.image_id) == "queued"

    bench.assert_image(bench.finish(session), DATA)


def test_an_image_that_is_deleted_during_the_assembly_leaves_nothing(bench, monkeypatch):
    session = bench.begin(len(DATA))
    bench.write(session, 0, DATA)
    keep = bench.lifecycle.sessions._assembler._keep

    def delete_first(*arguments):
        bench.lifecycle.delete(bench.database.find(session.image_id), bench.caller)
        return keep(*arguments)

    monkeypatch.setattr(bench.lifecycle.sessions._assembler, "_keep", delete_first)
    with pytest.raises(ImageGone):
        bench.finish(session)

    bench.assert_nothing_left()


def test_an_image_that_is_given_away_during_the_assembly_stays_without_bytes(bench, monkeypatch):
    session = bench.begin(len(DATA))
    bench.write(session, 0, DATA)
    keep = bench.lifecycle.sessions._assembler._keep

    def give_away_first(*arguments):
        bench.update(bench.database.find(session.image_id), ImageFields(fields={"owner": "elsewhere"}))
        return keep(*arguments)

    monkeypatch.setattr(bench.lifecycle.sessions._assembler, "_keep", give_away_first)
    with pytest.raises(SessionEnded, match="another project"):
        bench.finish(session)

    assert bench.status(session.image_id) == "queued"
    bench.assert_nothing_left()


def test_the_audit_trail_has_the_beginning_and_the_end_of_a_session(bench):
    session = half(bench)
    bench.write(session, 1500, DATA[1500:])
    bench.finish(session)
    aborted = half(bench)
    bench.abort(aborted)

    def verbs(session):
        return [record.verb for record in bench.database.audit.page(AuditQuery(session.image_id)).records]

    assert verbs(session) == ["upload", "begin-upload", "create"]
    assert verbs(aborted) == ["abort-upload", "begin-upload", "create"]
