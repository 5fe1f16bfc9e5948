"""Sessions on the drivers that ship, with cells of the sizes that their backends demand."""

import contextlib
import hashlib
import uuid

import pytest

from calotype.images.lifecycle import Lifecycle
from calotype.model.change import Change
from calotype.model.errors import SessionEnded
from calotype.model.fields import ImageFields
from calotype.model.states import Status
from calotype.stores import SourceBroken
from calotype.testing import Trickle, pattern
from calotype.transfers.fsck import checks
from calotype.transfers.fsck.steps import Plan, Problem
from calotype.transfers.readers import Announced
from calotype.transfers.sessions.chunks import Chunk
from calotype_store_file import FileStore
from calotype_store_s3 import S3Options, S3Store
from calotype_store_swift import SwiftOptions, SwiftStore
from core.tests.images.sessions.benches import Broken
from tests.support.workbench import CALLER, make_catalog, make_settings, open_database

MIB = 1 << 20
DATA = pattern(12 * MIB + 17)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def file_store(tmp_path):
    return FileStore("real", FileStore.Options(path=tmp_path / "images"))


@pytest.fixture
def s3_store(swift):
    options = S3Options(
        endpoint_url=swift["S3_ENDPOINT"],
        region=swift["S3_REGION"],
        access_key=swift["S3_ACCESS_KEY"],
        secret_key=swift["S3_SECRET_KEY"],
        bucket=f"sessions-{uuid.uuid4().hex}",
    )
    return S3Store("real", options)


@pytest.fixture
def swift_store(swift):
    login = {"auth_url": swift["SWIFT_AUTH_URL"], "user": swift["SWIFT_USER"], "key": swift["SWIFT_KEY"]}
    return SwiftStore("real", SwiftOptions(auth_version="1", container=f"s-{uuid.uuid4().hex}", **login))


@pytest.fixture(params=["file", "s3", "swift"])
def store(request):
    made = request.getfixturevalue(f"{request.param}_store")
    made.create()
    with contextlib.closing(made):
        yield made


@pytest.fixture
def lifecycle(template, tmp_path, store, monkeypatch):
    monkeypatch.setattr("calotype.transfers.sessions.cells.CELL", 5 * MIB)
    monkeypatch.setattr("calotype.transfers.sessions.receiving.PIECE", 5 * MIB)
    monkeypatch.setattr("calotype.transfers.sessions.receiving.IN_MEMORY", 5 * MIB)
    path = tmp_path / "database.sqlite"
    path.write_bytes(template.read_bytes())
    database = open_database(path)
    made = Lifecycle(database, make_catalog(store), make_settings())
    yield made
    made.close()
    database.close()


def begin(lifecycle, length):
    return lifecycle.sessions.begin(Change(CALLER, ImageFields()), length, on_failure=Status.KILLED)


def write(lifecycle, session, start, end, **options):
    data = DATA[start:end]
    chunk = Chunk(start, Announced(Trickle(data), len(data)), **options)
    return lifecycle.sessions.write(session.id, CALLER, chunk)


def left_in(lifecycle):
    """Return the problems that fsck finds in the store."""
    plan = Plan(window=0)
    (check,) = checks(lifecycle._database, lifecycle._stores, plan, lambda store: None)
    return [step for step in check.run() if isinstance(step, Problem)]


def assert_image(lifecycle, image):
    reader = lifecycle.reading.open(image)
    with contextlib.closing(reader):
        digest = hashlib.sha256()
        while block := reader.read(MIB):
            digest.update(block)
    assert digest.hexdigest() == image.os_hash_value == SHA256
    assert image.size == len(DATA)
    assert left_in(lifecycle) == []
    assert len(list(lifecycle._stores["real"].blobs())) == 1
    assert list(lifecycle._stores["real"].attempts()) == []


@pytest.mark.parametrize("length", [len(DATA), None], ids=["known", "unknown"])
def test_an_upload_that_breaks_off_continues_where_it_broke(lifecycle, length):
    session = begin(lifecycle, length)
    source = Broken(DATA[: 7 * MIB], SourceBroken("gone"))
    with pytest.raises(SourceBroken):
        lifecycle.sessions.write(session.id, CALLER, Chunk(0, source))
    assert lifecycle.sessions.state(session.id, CALLER).offset == 7 * MIB
    assert left_in(lifecycle) == []
    write(lifecycle, session, 7 * MIB, len(DATA))
    if length is None:
        lifecycle.sessions.announce(session.id, CALLER, len(DATA))

    assert_image(lifecycle, lifecycle.sessions.finish(session.id, CALLER))


def test_chunks_in_any_order_become_the_image(lifecycle):
    session = begin(lifecycle, len(DATA))
    for start in (8 * MIB, 0, 4 * MIB):
        write(lifecycle, session, start, start + 4 * MIB, alone=False)
    write(lifecycle, session, 12 * MIB, len(DATA), alone=False)

    assert_image(lifecycle, lifecycle.sessions.finish(session.id, CALLER))


def test_an_aborted_session_leaves_nothing(lifecycle):
    session = begin(lifecycle, len(DATA))
    write(lifecycle, session, 0, 7 * MIB)
    lifecycle.sessions.abort(session.id, CALLER)

    with pytest.raises(SessionEnded):
        write(lifecycle, session, 7 * MIB, len(DATA))
    assert list(lifecycle._stores["real"].blobs()) == []
    assert list(lifecycle._stores["real"].attempts()) == []
