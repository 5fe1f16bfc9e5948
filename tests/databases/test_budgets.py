"""The number of statements that requests may take, on SQLite and on servers."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, event
from webtest import TestApp

from calotype.app import make_app
from calotype.database import migrate
from calotype.database.database import Database
from calotype.database.engine import build_engine
from calotype.extensions import load_extensions
from calotype.images.lifecycle import Lifecycle
from calotype.service import Service
from calotype.testing.memory import MemoryStore
from calotype.transfers.places import Places
from calotype.transfers.probes import Probes
from tests.support.database import MAKERS
from tests.support.workbench import make_catalog, make_settings

META = "x-image-meta-"
OCTETS = {"Content-Type": "application/octet-stream"}
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
RAW = {"disk_format": "raw", "container_format": "bare"}
FULL = {f"{META}name": "n", f"{META}is_public": "True", f"{META}property-a": "1", f"{META}property-b": "2"}


@dataclass
class Counter:
    """An application, and a counter of the statements of its requests, without BEGIN and COMMIT."""

    app: TestApp
    engines: tuple[Engine, Engine]

    @contextlib.contextmanager
    def at_most(self, most: int, records: int = 0) -> Iterator[None]:
        """Require that the block takes at most `most` statements, and `records` ones for audit records.

        Besides, each unit of work that changes an image writes its events by one statement.
        """
        noted: list[str] = []

        def note(connection, cursor, statement, values, context, many) -> None:
            if not statement.startswith("BEGIN"):
                noted.append(statement)

        for engine in self.engines:
            event.listen(engine, "before_cursor_execute", note)
        try:
            yield
        finally:
            for engine in self.engines:
                event.remove(engine, "before_cursor_execute", note)
        audit = [one for one in noted if " audit " in one]
        events = [one for one in noted if one.startswith("INSERT INTO events")]
        others = [one for one in noted if " audit " not in one and one not in events]
        assert len(others) <= most, f"{len(others)} statements:\n" + "\n".join(others)
        assert len(audit) == records
        assert len(events) <= 2

    def queued(self) -> str:
        """Create a queued image with properties and tags, and return its path in v2."""
        document = {**RAW, "name": "n", "a": "1", "b": "2", "tags": ["x", "y"]}
        made = self.app.post_json("/v2/images", document)
        return f"/v2/images/{made.json['id']}"

    def active(self) -> str:
        path = self.queued()
        self.app.put(f"{path}/file", b"bytes", headers=OCTETS)
        return path


@pytest.fixture(scope="module", params=["sqlite", "postgres", "mariadb"])
def counter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('budgets')}/database.sqlite"
    else:
        url = MAKERS[request.param](request.getfixturevalue(request.param), f"t{uuid.uuid4().hex}")
    engine = build_engine(url)
    migrate.upgrade(engine)
    settings, made = make_settings(), Database(engine)
    stores = make_catalog(MemoryStore("memory", MemoryStore.Options()))
    lifecycle = Lifecycle(made, stores, settings)
    probes = Probes(made, stores, settings)
    service = Service(
        settings, made, stores, lifecycle, Places(made, stores), probes, load_extensions(settings)
    )
    counter = Counter(TestApp(make_app(service)), (engine, made._reading))
    counter.active()  # the first upload of a project begins its usage
    try:
        yield counter
    finally:
        service.close()


def test_an_upload_to_a_queued_image_takes_eleven_statements(counter: Counter) -> None:
    """One of them looks for an open upload session."""
    path = counter.queued()
    with counter.at_most(11, records=1):
        counter.app.put(f"{path}/file", b"bytes", headers=OCTETS, status=204)


def test_a_new_image_with_bytes_takes_eight_statements(counter: Counter) -> None:
    with counter.at_most(8, records=2):
        counter.app.post("/images", b"bytes", headers={**OCTETS, **FULL})


def test_a_patch_of_one_field_takes_five_statements(counter: Counter) -> None:
    path = counter.active()
    change = [{"op": "replace", "path": "/name", "value": "other"}]
    with counter.at_most(5, records=1):
        document = counter.app.patch(path, json.dumps(change), headers=PATCH).json
    assert (document["name"], document["a"], document["tags"]) == ("other", "1", ["x", "y"])
    assert counter.app.get(path).json == document


def test_a_patch_writes_only_the_property_that_it_changes(counter: Counter) -> None:
    path = counter.active()
    change = [{"op": "replace", "path": "/a", "value": "other"}]
    with counter.at_most(7, records=1):
        document = counter.app.patch(path, json.dumps(change), headers=PATCH).json
    assert (document["a"], document["b"]) == ("other", "2")
    assert counter.app.get(path).json == document


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_reading_an_image_takes_two_statements(counter: Counter, method: str) -> None:
    path = counter.active()
    paths = [path.removeprefix("/v2"), path.replace("/v2", "/v1")] if method == "HEAD" else [path]
    for one in paths:
        with counter.at_most(2):
            counter.app.request(one, method=method)


@pytest.mark.parametrize("path", ["/images", "/v1/images"])
def test_a_brief_list_takes_one_statement(counter: Counter, path: str) -> None:
    for _ in range(26):
        counter.app.post("/images", b"bytes", headers={**OCTETS, **FULL})
    with counter.at_most(1):
        listed = counter.app.get(f"{path}?limit=25").json["images"]
    assert len(listed) == 25
