"""A database server that hangs or holds a lock: requests get 503 within a bounded time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.faults.campaign.databases import Databases, running
from tests.faults.campaign.link import Break, Link
from tests.faults.campaign.severing import BOUND, SETTINGS
from tests.faults.campaign.victim import Victim, victim
from tests.support.answers import Answer
from tests.support.server import OCTETS, meta


@pytest.fixture(scope="module", params=["postgres", pytest.param("mariadb", marks=pytest.mark.campaign)])
def databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    with running(request.param) as found:
        yield found


@pytest.fixture
def link(databases: Databases) -> Iterator[Link]:
    with Link(databases.make()) as made:
        yield made


@pytest.fixture
def served(link: Link, tmp_path: Path) -> Iterator[Victim]:
    with victim(tmp_path / "service", link.real, {**SETTINGS, "sqlalchemy.url": link.url}) as running:
        yield running


def assert_asks_for_a_retry(answer: Answer) -> None:
    assert answer.status == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0


def test_requests_get_503_in_bounded_time_until_a_silent_database_answers_again(
    served: Victim, link: Link
) -> None:
    image_id = served.upload(b"there before")["id"]
    path = f"/images/{image_id}"
    link.arm(1, Break.SILENT)
    began = time.monotonic()
    with ThreadPoolExecutor(4) as clients:
        asked = [
            clients.submit(served.get, path),
            clients.submit(served.delete, path),
            clients.submit(served.post, "/images", OCTETS, b"bytes"),
            clients.submit(served.readyz, lambda told: told.status != 200),
        ]
        for one in asked:
            assert_asks_for_a_retry(one.result())
    assert time.monotonic() - began < BOUND
    link.heal()
    assert served.get(path).body == b"there before"
    assert served.upload(b"there now")["status"] == "active"


def test_a_request_for_a_row_that_another_program_has_locked_gets_503_in_bounded_time(
    served: Victim, link: Link
) -> None:
    image_id = served.upload(b"bytes")["id"]
    engine = create_engine(link.real)
    with engine.connect() as other:
        other.execute(text("UPDATE images SET min_ram = 7"))
        began = time.monotonic()
        assert_asks_for_a_retry(served.put(f"/images/{image_id}", meta(name="after")))
        assert time.monotonic() - began < BOUND
        other.rollback()
    engine.dispose()
    assert served.put(f"/images/{image_id}", meta(name="after")).image["name"] == "after"
