"""Deadlocks: the database rolls back one of two units, and the service retries it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, create_engine, text

from tests.conftest import StartServer
from tests.support.server import OCTETS, meta

BOTH = ("postgresql", "mariadb")
#: The query for the number of transactions that wait for a lock.
_WAITING = {
    "postgresql": "SELECT count(*) FROM pg_locks WHERE NOT granted",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
}


@pytest.fixture
def other(database: str) -> Iterator[Connection]:
    """Another program's connection to the same database."""
    # The same level as the service has. MariaDB's default would lock rows that do not exist yet.
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
            time.sleep(0.2)  # MariaDB caches this table until it was not read for a tenth of a second
    engine.dispose()


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_an_update_that_loses_a_deadlock_is_retried(
    database: str, other: Connection, start_server: StartServer
) -> None:
    served = start_server({"sqlalchemy.url": database})
    fields = meta(**{f"property_p{number}": "before" for number in range(30)})
    image_id = served.post("/images", {**OCTETS, **fields}, b"bytes").image["id"]

    with ThreadPoolExecutor(1) as pool:
        # Many rows, because MariaDB rolls back the transaction that changed fewer.
        other.execute(text("UPDATE image_properties SET value = 'theirs'"))
        answer = pool.submit(served.put, f"/images/{image_id}", meta(name="after", property_p1="after"))
        await_a_waiter(database)
        other.execute(text("UPDATE images SET min_ram = 7"))
        other.commit()

    image = answer.result().image
    assert (image["name"], image["properties"]["p1"], image["min_ram"]) == ("after", "after", 7)


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_an_upload_that_loses_a_deadlock_at_its_end_keeps_its_bytes(
    database: str, other: Connection, start_server: StartServer
) -> None:
    served = start_server({"sqlalchemy.url": database})
    for number in range(30):
        served.post("/images", meta(name=f"other {number}"))
    bytes_sent = bytes(300_000)

    with ThreadPoolExecutor(1) as pool:

        def halves() -> Iterator[bytes]:
            yield bytes_sent[:1000]
            # When the upload has begun, another transaction locks the row that its end needs.
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
