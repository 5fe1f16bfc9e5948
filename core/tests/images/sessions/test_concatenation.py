"""Partial sessions arrive independently of each other, and become one image."""

import pytest

from calotype.database.errors import LimitReached
from calotype.images.progress import Phase, progress_of
from calotype.model.change import Change
from calotype.model.errors import Incomplete, NotFound, SessionEnded
from calotype.model.fields import ImageFields, InvalidRequest
from calotype.model.policy import Caller
from calotype.model.sessions import SessionStatus
from calotype.model.states import Status
from calotype.testing import pattern
from core.tests.images.sessions.benches import CELL
from core.tests.images.sessions.test_ends import expire

DATA = pattern(3 * CELL + 17)
OTHER = Caller(user="eve", project="elsewhere", roles=frozenset({"member"}))


def partial(bench, data, caller=None):
    session = bench.sessions.begin_partial(caller or bench.caller, len(data))
    return bench.write(session, 0, data) if caller is None else session


def concatenate(bench, *sessions, draft=None):
    change = Change(bench.caller, draft or ImageFields())
    ids = [session.id for session in sessions]
    return bench.sessions.concatenate(change, ids, on_failure=Status.QUEUED)


def test_partial_sessions_become_one_image_in_the_given_order(bench):
    last, first = partial(bench, DATA[1500:]), partial(bench, DATA[:1500])
    session = concatenate(bench, first, last)
    assert session.status is SessionStatus.COMPLETE
    assert session.length == session.offset == len(DATA)

    bench.assert_image(bench.finish(session), DATA)
    assert bench.state(first).status is SessionStatus.FINISHED


def test_the_progress_of_an_image_shows_that_its_parts_are_joined(bench):
    session = concatenate(bench, partial(bench, DATA[:1500]), partial(bench, DATA[1500:]))
    found = progress_of(bench.database, bench.database.find(session.image_id))

    assert (found.phase, found.moved, found.total) == (Phase.JOINING, len(DATA), len(DATA))
    bench.finish(session)
    assert progress_of(bench.database, bench.database.find(session.image_id)).phase is Phase.IDLE


def test_bytes_of_partial_sessions_count_against_the_quota_once(make):
    bench = make("free", project_bytes=len(DATA))
    parts = [partial(bench, DATA[:1500]), partial(bench, DATA[1500:])]
    assert bench.database.usage("default").bytes == len(DATA)
    with pytest.raises(LimitReached):
        bench.sessions.begin_partial(bench.caller, 1)

    bench.assert_image(bench.finish(concatenate(bench, *parts)), DATA)


def test_a_partial_session_that_lacks_bytes_cannot_be_used(bench):
    whole = partial(bench, DATA[:1500])
    part = bench.sessions.begin_partial(bench.caller, 100)
    with pytest.raises(Incomplete):
        concatenate(bench, whole, part)

    assert bench.images() == []
    assert bench.state(whole).status is SessionStatus.COMPLETE


def test_a_partial_session_is_used_once(bench):
    part = partial(bench, DATA)
    concatenate(bench, part)
    with pytest.raises(SessionEnded):
        concatenate(bench, part)
    with pytest.raises(InvalidRequest):
        concatenate(bench, part, part)
    with pytest.raises(InvalidRequest):
        concatenate(bench)


def test_a_partial_session_makes_no_image_of_its_own(bench):
    part = partial(bench, DATA)
    with pytest.raises(Incomplete):
        bench.finish(part)


def test_an_ordinary_session_is_no_partial_one(bench):
    session = bench.begin(len(DATA))
    bench.write(session, 0, DATA)
    with pytest.raises(Incomplete):
        concatenate(bench, session)


def test_the_partial_session_of_another_project_is_not_found(make):
    bench = make("free")
    part = partial(bench, DATA)
    for call in (
        lambda: bench.sessions.state(part.id, OTHER),
        lambda: bench.sessions.concatenate(Change(OTHER, ImageFields()), [part.id], on_failure=Status.QUEUED),
    ):
        with pytest.raises(NotFound):
            call()


@pytest.mark.parametrize("end", ["abort", "expire"])
def test_a_partial_session_that_ends_leaves_nothing(bench, end):
    part = partial(bench, DATA)
    if end == "abort":
        bench.abort(part)
    else:
        expire(bench, part)
        bench.lifecycle.sweep()

    bench.assert_nothing_left()
    assert bench.database.usage("default").bytes == 0
    with pytest.raises(SessionEnded):
        bench.state(part)


def test_an_aborted_concatenation_leaves_nothing(bench):
    session = concatenate(bench, partial(bench, DATA[:1500]), partial(bench, DATA[1500:]))
    bench.abort(session)

    bench.assert_nothing_left()
    assert bench.status(session.image_id) == "queued"
