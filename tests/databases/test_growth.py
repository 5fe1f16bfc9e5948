"""The rows that requests read do not depend on the number of images, on SQLite and on servers."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, insert

from calotype.database import migrate
from calotype.database.database import Database
from calotype.database.engine import build_engine
from calotype.database.queries import position
from calotype.database.tables import ImageRow, LocationRow, PropertyRow, TagRow
from calotype.model.images import LocationState, Visibility
from calotype.model.queries import Condition, ImageQuery, Scope, SortKey
from calotype.model.states import Status
from tests.support.database import MAKERS

EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
#: Even the smaller number is above that of images that meet a rare filter.
FEW, MANY = 2500, 10_000
NEWEST = (SortKey("created_at", True), SortKey("id", True))
LIMIT = 10


def add_images(engine: Engine, numbers: range) -> None:
    """Add public images, each with a location, a tag and a property. The first image has rare ones."""
    ids = {number: image_id(number) for number in numbers}
    image = {
        "status": Status.ACTIVE,
        "visibility": Visibility.PUBLIC,
        "owner": "theirs",
        "protected": False,
        "min_disk": 0,
        "min_ram": 0,
        "os_hidden": False,
        "updated_at": EPOCH,
    }
    location = {"store": "file", "state": LocationState.STORED, "external": False, "counted": 1}
    images = [
        {**image, "id": ids[n], "name": f"image {n}", "created_at": EPOCH + datetime.timedelta(seconds=n)}
        for n in numbers
    ]
    locations = [
        {**location, "key": f"{one}.key", "image_id": one, "location": f"file:{one}", "created_at": EPOCH}
        for one in ids.values()
    ]
    kinds = {n: "rare" if n == 0 else "common" for n in numbers}
    with engine.begin() as connection:
        connection.execute(insert(ImageRow), images)
        connection.execute(insert(LocationRow), locations)
        connection.execute(insert(TagRow), [{"image_id": ids[n], "tag": kinds[n]} for n in numbers])
        properties = [{"image_id": ids[n], "name": "kind", "value": kinds[n]} for n in numbers]
        connection.execute(insert(PropertyRow), properties)


def image_id(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


def sqlite_cost(connection: Connection, statement: str, values: Any) -> int:
    """Return the number of steps of SQLite's machine, in tens."""
    steps: list[None] = []
    raw = connection.connection.dbapi_connection
    raw.set_progress_handler(lambda: steps.append(None), 10)
    connection.exec_driver_sql(statement, values).all()
    raw.set_progress_handler(None, 10)
    return len(steps)


def postgres_cost(connection: Connection, statement: str, values: Any) -> int:
    """Return the number of rows that all nodes of the plan read."""
    explained = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values).scalar()
    return rows_of((json.loads(explained) if isinstance(explained, str) else explained)[0]["Plan"])


def rows_of(node: Mapping[str, Any]) -> int:
    removed = node.get("Rows Removed by Filter", 0)
    own = (node["Actual Rows"] + removed) * node["Actual Loops"]
    return int(own) + sum(map(rows_of, node.get("Plans", ())))


def mariadb_cost(connection: Connection, statement: str, values: Any) -> int:
    """Return the number of rows that the storage engine reads."""
    connection.exec_driver_sql("FLUSH STATUS")
    connection.exec_driver_sql(statement, values).all()
    counters = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'").all()
    return sum(int(value) for _, value in counters)


COSTS = {"sqlite": sqlite_cost, "postgresql": postgres_cost, "mysql": mariadb_cost, "mariadb": mariadb_cost}


@pytest.fixture(scope="module", params=["sqlite", "postgres", "mariadb"])
def costs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Any]]:
    """The costs of each of `WORK` among few images, and among many."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('growth')}/database.sqlite"
    else:
        url = MAKERS[request.param](request.getfixturevalue(request.param), f"t{uuid.uuid4().hex}")
    engine = build_engine(url)
    migrate.upgrade(engine)
    measured, numbers = [], range(FEW)
    for numbers in (range(FEW), range(FEW, MANY)):
        add_images(engine, numbers)
        with engine.connect() as connection:
            tables = "images, image_properties, image_tags, image_locations"
            if request.param == "postgres":
                connection.exec_driver_sql(f"ANALYZE {tables}")
            elif request.param == "mariadb":
                connection.exec_driver_sql(f"ANALYZE TABLE {tables}").all()
            connection.commit()
        measured.append({name: cost(Database(engine), work) for name, work in WORK.items()})
    yield measured
    engine.dispose()


def cost(database: Database, work: Callable[[Database], Any]) -> int:
    """Return the cost of all statements that read the database for this work."""
    noted: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
        noted.append((statement, values))

    engine = database._reading
    event.listen(engine, "before_cursor_execute", note)
    work(database)
    event.remove(engine, "before_cursor_execute", note)
    assert noted
    with engine.connect() as connection:
        return sum(COSTS[engine.dialect.name](connection, *one) for one in noted)


def page(**asked: Any) -> Callable[[Database], Any]:
    def read(database: Database) -> None:
        query = ImageQuery(**{"scope": Scope.ALL, "project": "ours", "sort": NEWEST, "limit": LIMIT, **asked})
        assert list(database.page(query).images)

    return read


def deep_page(database: Database) -> None:
    """Read the page before the oldest images."""
    marker = database.find(image_id(LIMIT + 1))
    page(after=position(marker, NEWEST))(database)


def both_scopes(name: str, **asked: Any) -> dict[str, Callable[[Database], Any]]:
    return {name: page(**asked), f"{name}, of a member": page(scope=Scope.VISIBLE, **asked)}


WORK: dict[str, Callable[[Database], Any]] = {
    "an image": lambda database: database.find(image_id(7)),
    **both_scopes("a page"),
    **both_scopes("the oldest images", sort=(SortKey("created_at"), SortKey("id"))),
    "a deep page": deep_page,
    **both_scopes("a name", conditions=(Condition("name", "eq", "image 7"),)),
    **both_scopes("a rare tag", tags=("rare",)),
    **both_scopes("a rare property", properties={"kind": "rare"}),
    **both_scopes("a common tag", tags=("common",)),
    **both_scopes("a common property", properties={"kind": "common"}),
    **both_scopes("two filters", tags=("rare",), properties={"kind": "rare"}),
    "the next copies of a store": lambda database: database.stored_locations("file", "8", 50),
    "leases": lambda database: database.leased_locations(EPOCH, 50),
}


@pytest.mark.parametrize("work", WORK)
def test_reading_costs_the_same_among_four_times_as_many_images(
    costs: list[dict[str, int]], work: str
) -> None:
    few, many = (found[work] for found in costs)
    assert many <= 1.5 * few + 20
