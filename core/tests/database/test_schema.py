"""The schema: migrations and models agree, up and down, twice, and from two processes at once."""

import contextlib
import sqlite3
import subprocess
import sys

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from calotype.database import migrate, schema
from calotype.database.database import Database
from calotype.database.engine import build_engine
from calotype.database.errors import SchemaMismatch
from calotype.model.changes import new_id
from calotype.model.images import Visibility
from tests.support.workbench import open_database

UPGRADE = """
import sys
from calotype.database import schema
from calotype.database.engine import build_engine
engine = build_engine(sys.argv[1])
sys.stdin.read(1)
schema.upgrade(engine)
engine.dispose()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "registry.sqlite"


@pytest.fixture
def engine(path):
    engine = build_engine(f"sqlite:///{path}")
    yield engine
    engine.dispose()


def shape(engine) -> dict:
    """Tables, columns, keys and indexes, in a form that does not depend on how they came to be."""
    found = inspect(engine)
    return {
        table: (
            sorted((c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(table)),
            sorted((i["name"], tuple(i["column_names"])) for i in found.get_indexes(table)),
            sorted((k["constrained_columns"], k["referred_table"]) for k in found.get_foreign_keys(table)),
            found.get_pk_constraint(table)["constrained_columns"],
        )
        for table in found.get_table_names()
    }


def dump(path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as raw:
        return list(raw.iterdump())


def test_models_and_migrations_agree(engine):
    schema.upgrade(engine)

    assert schema.differences(engine) == []


@pytest.mark.parametrize(
    "damage",
    [
        "DROP INDEX ix_images_listing",
        "ALTER TABLE images ADD COLUMN extra TEXT",
        "DROP TABLE image_properties",
    ],
)
def test_a_database_that_differs_is_told(engine, path, damage):
    schema.upgrade(engine)
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.execute(damage)

    assert schema.differences(engine) != []


def test_there_is_one_line_of_migrations():
    scripts = ScriptDirectory(str(migrate.MIGRATIONS))

    assert len(scripts.get_heads()) == 1
    assert len(scripts.get_bases()) == 1
    assert schema.newest() == scripts.get_heads()[0]


def test_every_step_goes_up_and_down_again(engine):
    revisions = [script.revision for script in ScriptDirectory(str(migrate.MIGRATIONS)).walk_revisions()][
        ::-1
    ]
    shapes = []
    for revision in revisions:
        schema.upgrade(engine, revision)
        shapes.append(shape(engine))
        assert schema.current(engine) == revision
    # Markers in the stores hold the database's id, so it outlives a way back.
    kept = {"registry_identity": shapes[-1]["registry_identity"]}
    for revision, before in list(zip(revisions, shapes, strict=True))[-2::-1]:
        schema.downgrade(engine, revision)
        assert {**before, **kept} == shape(engine)
    schema.downgrade(engine, "base")

    assert schema.current(engine) is None
    assert set(shape(engine)) == {"alembic_version", "registry_identity"}


def test_data_survives_the_way_up(engine):
    first = ScriptDirectory(str(migrate.MIGRATIONS)).get_bases()[0]
    schema.upgrade(engine, first)
    image_id = new_id()
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO images (id, name, status, visibility, protected, min_disk, min_ram, size, "
            "created_at, updated_at) VALUES "
            "(?, 'old', 'active', 'public', 0, 1, 2, 3000000000, '2026-01-01', '2026-01-02')",
            (image_id,),
        )
        connection.exec_driver_sql("INSERT INTO image_properties VALUES (?, 'k', 'v')", (image_id,))
        connection.exec_driver_sql(
            "INSERT INTO image_locations VALUES ('key', ?, 'file', 'loc', 'stored', 0, '2026-01-01')",
            (image_id,),
        )
    schema.upgrade(engine)
    image = Database(engine).find(image_id)

    assert (image.name, image.size, image.visibility) == ("old", 3_000_000_000, Visibility.PUBLIC)
    assert image.properties == {"k": "v"}
    assert image.location.location == "loc"


def test_attempts_under_way_get_the_end_they_had_before_it_was_written_down(engine):
    schema.upgrade(engine, "0003")
    with engine.begin() as connection:
        for status in ("saving", "uploading", "importing"):
            connection.exec_driver_sql(
                "INSERT INTO images (id, status, visibility, protected, min_disk, min_ram, os_hidden, "
                "created_at, updated_at) VALUES (?, ?, 'public', 0, 0, 0, 0, '2026-01-01', '2026-01-01')",
                (status, status),
            )
            connection.exec_driver_sql(
                "INSERT INTO image_locations (key, image_id, store, state, external, counted, created_at) "
                "VALUES (?, ?, 'file', 'intended', 0, 0, '2026-01-01')",
                (status, status),
            )
    schema.upgrade(engine)
    with engine.connect() as connection:
        ends = dict(connection.exec_driver_sql("SELECT key, on_failure FROM image_locations").all())

    assert ends == {"saving": "killed", "uploading": "queued", "importing": None}


def test_foreign_keys_are_kept_again_after_a_migration(engine):
    schema.upgrade(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []


def test_data_survives_the_way_down(engine, path):
    schema.upgrade(engine)
    image_id = new_id()
    database = Database(engine)
    with database.unit() as unit:
        unit.add_image(image_id, {"name": "new", "visibility": Visibility.PUBLIC}, {"k": "v"})
    schema.downgrade(engine, ScriptDirectory(str(migrate.MIGRATIONS)).get_bases()[0])
    with contextlib.closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT id, name FROM images").fetchall() == [(image_id, "new")]
        assert raw.execute("SELECT name, value FROM image_properties").fetchall() == [("k", "v")]


def test_a_second_upgrade_does_nothing(engine, path):
    schema.upgrade(engine)
    database = Database(engine)
    with database.unit() as unit:
        unit.add_image(new_id(), {}, {})
    before = dump(path)
    schema.upgrade(engine)

    assert dump(path) == before


def test_processes_that_upgrade_at_once_take_turns(path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", UPGRADE, f"sqlite:///{path}"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    for process in processes:
        process.stdin.write(b"!")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1].decode() for process in processes]
    database = open_database(path)

    assert "Traceback" not in "".join(errors)
    assert schema.current(database.engine) == schema.newest()
    assert schema.differences(database.engine) == []
    database.close()


def test_an_empty_database_is_refused_with_the_command_that_mends_it(engine):
    with pytest.raises(SchemaMismatch) as caught:
        schema.require_newest(engine, "production.ini")

    assert str(caught.value) == (
        f"the database is empty, this version needs revision {schema.newest()}: "
        "run `calotype-manage db upgrade production.ini`"
    )


def test_a_database_of_another_version_is_refused_too(engine, path):
    schema.upgrade(engine)
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
        raw.commit()

    with pytest.raises(SchemaMismatch, match="the database is at revision 9999, this version needs"):
        schema.require_newest(engine, "x.ini")


def test_the_newest_database_is_taken(engine):
    schema.upgrade(engine)
    schema.require_newest(engine, "x.ini")
