"""Migrations agree with the models, go up and down, and can run in several processes at once."""

import contextlib
import sqlite3
import subprocess
import sys

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Integer, MetaData, String, Table, inspect

from calotype.database import migrate
from calotype.database.database import Database
from calotype.database.engine import build_engine
from calotype.database.errors import SchemaMismatch
from calotype.model.fields import new_id
from tests.support.workbench import open_database

UPGRADE = """
import sys
from calotype.database import migrate
from calotype.database.engine import build_engine
engine = build_engine(sys.argv[1])
sys.stdin.read(1)
migrate.upgrade(engine)
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
    """Return the tables, columns, keys and indexes, in a form without the order of changes."""
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
    migrate.upgrade(engine)

    assert migrate.differences(engine) == []


@pytest.mark.parametrize(
    "damage",
    [
        "DROP INDEX ix_images_listing",
        "ALTER TABLE images ADD COLUMN extra TEXT",
        "DROP TABLE image_properties",
    ],
)
def test_differences_from_the_models_are_found(engine, path, damage):
    migrate.upgrade(engine)
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.execute(damage)

    assert migrate.differences(engine) != []


def test_tables_that_the_models_do_not_have_are_not_compared(engine, path):
    """Such tables may belong to an extension that is off."""
    migrate.upgrade(engine)
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE strangers (id INTEGER PRIMARY KEY)")

    assert migrate.differences(engine) == []


def test_the_migrations_of_the_core_have_one_first_and_one_last_revision():
    scripts = ScriptDirectory(str(migrate.CORE.folder.parent), version_locations=[str(migrate.CORE.folder)])

    assert len(scripts.get_bases()) == 1
    assert scripts.get_heads() == [migrate.CORE.newest]


STEP = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = {revision!r}, {down!r}
branch_labels = depends_on = None


def upgrade() -> None:
    {up}


def downgrade() -> None:
    {down_step}
"""


@pytest.fixture
def branch(tmp_path):
    """The branch of an extension, with two migrations."""
    folder = tmp_path / "100% of it"
    folder.mkdir()
    table = "op.create_table('guests', sa.Column('name', sa.String(9), primary_key=True))"
    column = "op.batch_alter_table('guests')"
    steps = {
        "guests_1": (None, table, "op.drop_table('guests')"),
        "guests_2": (
            "guests_1",
            f"with {column} as guests: guests.add_column(sa.Column('age', sa.Integer()))",
            f"with {column} as guests: guests.drop_column('age')",
        ),
    }
    for revision, (down, up, down_step) in steps.items():
        text = STEP.format(revision=revision, down=down, up=up, down_step=down_step)
        (folder / f"{revision}.py").write_text(text)
    metadata = MetaData()
    Table("guests", metadata, Column("name", String(9), primary_key=True), Column("age", Integer))
    return migrate.Branch("guests", folder, "guests_2", metadata)


def test_a_branch_can_be_upgraded_and_downgraded_alone(engine, branch):
    branches = [migrate.CORE, branch]
    migrate.upgrade(engine, branches)
    assert migrate.current(engine, branch) == "guests_2"
    assert migrate.differences(engine, branch) == migrate.differences(engine) == []
    assert migrate.older_than("guests_2", branch) == ["guests_1"]
    before = shape(engine)

    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO guests VALUES ('Käthe', 7)")
    migrate.downgrade(engine, "guests_1", branch)
    assert (migrate.current(engine), migrate.current(engine, branch)) == (migrate.CORE.newest, "guests_1")
    with pytest.raises(SchemaMismatch, match="tables of the extension 'guests' are at revision guests_1"):
        migrate.require_newest(engine, branches)

    migrate.upgrade(engine, branches)
    assert shape(engine) == before
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT name, age FROM guests").all() == [("Käthe", None)]


def test_a_branch_that_is_not_requested_stays_unchanged(engine, path, branch):
    migrate.upgrade(engine, [migrate.CORE, branch])
    before = dump(path)
    migrate.upgrade(engine)
    migrate.require_newest(engine)

    assert dump(path) == before


def test_the_tables_of_a_branch_are_missing_until_an_upgrade(engine, branch):
    migrate.upgrade(engine)

    with pytest.raises(SchemaMismatch) as caught:
        migrate.require_newest(engine, [migrate.CORE, branch], "x.ini")
    assert str(caught.value) == (
        "the tables of the extension 'guests' are missing, it needs revision guests_2: "
        "run `calotype-manage db upgrade x.ini`"
    )


def test_foreign_keys_are_enforced_again_after_a_migration(engine):
    migrate.upgrade(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []


def test_a_second_upgrade_does_nothing(engine, path):
    migrate.upgrade(engine)
    database = Database(engine)
    with database.unit() as unit:
        unit.add_image(new_id(), {}, {})
    before = dump(path)
    migrate.upgrade(engine)

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
    assert migrate.current(database.engine) == migrate.CORE.newest
    assert migrate.differences(database.engine) == []
    database.close()


def test_an_empty_database_is_refused_with_the_command_to_run(engine):
    with pytest.raises(SchemaMismatch) as caught:
        migrate.require_newest(engine, ini="production.ini")

    assert str(caught.value) == (
        f"the database is empty, this version needs revision {migrate.CORE.newest}: "
        "run `calotype-manage db upgrade production.ini`"
    )


@pytest.mark.parametrize("revision", [None, "2023_1_expand01", "0007", "0010"])
def test_a_database_of_another_program_is_refused_before_anything_is_changed(engine, path, revision):
    """Tables with the same names do not prove that the database is ours, nor does a version table."""
    with engine.begin() as connection:
        for name in ("images", "songs", *(["alembic_version"] if revision else [])):
            connection.exec_driver_sql(f"CREATE TABLE {name} (version_num VARCHAR(32))")
        if revision:
            connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{revision}')")
    before = dump(path)

    with pytest.raises(SchemaMismatch, match=r"holds tables of another program \(songs\)"):
        migrate.upgrade(engine)

    assert dump(path) == before


def test_an_interrupted_first_upgrade_is_not_mistaken_for_another_program(engine):
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE image_tags (image_id VARCHAR(36))")
    with pytest.raises(SchemaMismatch, match="the database is empty"):
        migrate.require_newest(engine)


def test_a_database_at_an_unknown_revision_is_refused(engine, path):
    migrate.upgrade(engine)
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
        raw.commit()

    with pytest.raises(SchemaMismatch, match="the database is at revision 9999, this version needs"):
        migrate.require_newest(engine, ini="x.ini")


def test_a_database_of_a_newer_version_is_not_upgraded(engine, path):
    migrate.upgrade(engine)
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = 'core_99'")
        raw.commit()

    with pytest.raises(SchemaMismatch, match="revision core_99 of core, which this version does not know"):
        migrate.upgrade(engine)


def test_a_database_at_the_newest_revision_is_accepted(engine):
    migrate.upgrade(engine)
    migrate.require_newest(engine, ini="x.ini")
