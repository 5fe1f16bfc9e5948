"""Databases from before the first release: the last revision is adopted, and older ones are refused.

`revision_0010.sql` was created by the code of the last revision.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from calotype.database import migrate
from calotype.database.database import Database
from calotype.database.engine import build_engine
from calotype.database.errors import SchemaMismatch
from calotype.model.images import Visibility
from calotype_metadefs import MIGRATIONS
from calotype_metadefs.database import Kind
from calotype_metadefs.verbs import Metadefs

_NULLS = re.compile(r"(,NULL)*\);$")
OLD = Path(__file__).with_name("revision_0010.sql")
ROWS = """
INSERT INTO images (id, name, status, visibility, protected, min_disk, min_ram, size, created_at, updated_at)
    VALUES ('i', 'old', 'active', 'public', 0, 1, 2, 3000000000, '2026-01-01', '2026-01-02');
INSERT INTO image_properties VALUES ('i', 'k', 'v');
INSERT INTO image_locations (key, image_id, store, location, state, external, created_at)
    VALUES ('key', 'i', 'file', 'loc', 'stored', 0, '2026-01-01'),
        ('gone', 'i', 'file', 'gone', 'doomed', 0, '2026-01-01');
INSERT INTO metadef_namespaces VALUES (7, 'NS', NULL, NULL, 'public', 0, 'o', '2026-01-01', '2026-01-01');
INSERT INTO metadef_definitions VALUES (7, 'tag', 't', '{}', '2026-01-01', '2026-01-01');
INSERT INTO metadef_resource_types VALUES ('My::Type', '2026-01-01', '2026-01-01');
"""
BRANCHES = [migrate.CORE, MIGRATIONS]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database at the revision 0010, with a row of each kind."""
    path = tmp_path / "calotype.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.executescript(OLD.read_text() + ROWS)
    return path


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    engine = build_engine(f"sqlite:///{path}")
    yield engine
    engine.dispose()


def dump(path: Path) -> set[str]:
    """Return all rows as SQL, without the versions, and without the NULLs of new columns, which come last."""
    with contextlib.closing(sqlite3.connect(path)) as raw:
        rows = (line for line in raw.iterdump() if line.startswith("INSERT"))
        return {_NULLS.sub(");", line) for line in rows if "alembic_version" not in line}


def test_a_database_at_the_last_unreleased_revision_is_adopted_with_every_row(
    engine: Engine, path: Path
) -> None:
    before = dump(path)

    migrate.upgrade(engine, BRANCHES)

    assert dump(path) == before
    migrate.require_newest(engine, BRANCHES)
    assert [migrate.differences(engine, branch) for branch in BRANCHES] == [[], []]
    database = Database(engine)
    image, metadefs = database.find("i"), Metadefs(database)
    assert (image.name, image.size, image.visibility) == ("old", 3_000_000_000, Visibility.PUBLIC)
    assert (image.properties, image.location.location) == ({"k": "v"}, "loc")
    namespace = metadefs.definitions.namespace("NS")
    assert [one.name for one in metadefs.listed(namespace, Kind.TAG)] == ["t"]
    assert len(metadefs.definitions.resource_types()) == 6


def test_definitions_wait_for_their_extension_to_be_switched_on(engine: Engine, path: Path) -> None:
    before = dump(path)
    migrate.upgrade(engine)

    assert dump(path) == before
    assert migrate.current(engine, MIGRATIONS) is None
    migrate.upgrade(engine, BRANCHES)
    assert dump(path) == before
    migrate.require_newest(engine, BRANCHES)


@pytest.mark.parametrize("revision", ["0001", "0005", "0009"])
def test_a_database_at_any_older_unreleased_revision_is_refused_with_one_sentence(
    engine: Engine, path: Path, revision: str
) -> None:
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.execute(f"UPDATE alembic_version SET version_num = '{revision}'")
        raw.commit()

    with pytest.raises(SchemaMismatch) as caught:
        migrate.upgrade(engine, BRANCHES)
    assert str(caught.value) == (
        f"the database is at revision {revision}, from before the first release: "
        "upgrade it to 0010 with the commit b7f1b0e of Calotype first, then with this version"
    )
    assert migrate.current(engine) == revision
