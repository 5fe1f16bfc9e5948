"""Two that wait for each other's rows: the database undoes one, and the service does it again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, create_engine, text

from tests.conftest import StartServer
from tests.support.server import OCTETS, meta

BOTH = ("postgresql", "mariadb")
#: How many transactions wait for a lock.
_WAITING = {
    "postgresql": "SELECT count(*) FROM pg_locks WHERE NOT granted",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
}


@pytest.fixture
def other(database: str) -> Iterator[Connection]:
    """Another program's connection to the same database."""
    # As the service itself: MariaDB's default would lock rows that are not there yet.
    engine = create_engine(database, isolation_level="READ COMMITTED")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def await_a_waiter(database: str) -> None:
    engine = create_engine(database, isolation_level="AUTOCOMMIT")
    end = time.monotonic() + 30
    with engine.connect() as connection:
        while not connection.scalar(text(_WAITING[engine.dialect.name])):
            assert time.monotonic() < end, "nobody waits for anybody"
            time.sleep(0.2)  # MariaDB looks anew only if nobody has looked for a tenth of a second
    engine.dispose()


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_an_update_that_loses_a_deadlock_is_done_again(
    database: str, other: Connection, start_server: StartServer
) -> None:
    served = start_server({"sqlalchemy.url": database})
    fields = meta(**{f"property_p{number}": "before" for number in range(30)})
    image_id = served.post("/images", {**OCTETS, **fields}, b"bytes").image["id"]

    with ThreadPoolExecutor(1) as pool:
        # Many rows: MariaDB undoes whoever changed fewer.
        other.execute(text("UPDATE image_properties SET value = 'theirs'"))
        answer = pool.submit(served.put, f"/images/{image_id}", meta(name="after", property_p1="after"))
        await_a_waiter(database)
        other.execute(text("UPDATE images SET min_ram = 7"))
        other.commit()

    image = answer.result().image
    assert (image["name"], image["properties"]["p1"], image["min_ram"]) == ("after", "after", 7)


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_an_upload_that_loses_a_deadlock_when_its_bytes_are_there_loses_none(
    database: str, other: Connection, start_server: StartServer
) -> None:
    served = start_server({"sqlalchemy.url": database})
    for number in range(30):
        served.post("/images", meta(name=f"other {number}"))
    bytes_sent = bytes(300_000)

    with ThreadPoolExecutor(1) as pool:

        def halves() -> Iterator[bytes]:
            yield bytes_sent[:1000]
            # As soon as the upload is on its way somebody holds the row that its end needs.
            end = time.monotonic() + 20
            while not other.execute(text("UPDATE image_locations SET store = store")).rowcount:
                assert time.monotonic() < end, "the upload has not begun"
                time.sleep(0.02)
            other.execute(text("UPDATE images SET min_disk = 3 WHERE name LIKE 'other%'"))
            yield bytes_sent[1000:]

        answer = pool.submit(served.post, "/images", {**OCTETS, **meta(name="mine")}, halves())
        await_a_waiter(database)
        other.execute(text("UPDATE images SET min_ram = 7"))
        other.commit()

    image = answer.result().image
    assert (image["status"], image["size"]) == ("active", len(bytes_sent))
    assert served.get(f"/images/{image['id']}").body == bytes_sent
