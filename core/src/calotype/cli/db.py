"""`calotype-manage db`: the database's schema."""

from __future__ import annotations

import click

from calotype.app import open_database
from calotype.cli.ini import Refusal, load_settings, refusals, takes_ini
from calotype.database import schema
from calotype.database.database import Database
from calotype.database.errors import NoIdentity


@click.group()
def db() -> None:
    """Upgrade, downgrade or check the database's schema."""


@db.command()
@takes_ini
def upgrade(ini: str, variables: dict[str, str]) -> None:
    """Upgrade the database to the newest schema, unless it is there already."""
    with refusals():
        engine = open_database(load_settings(ini, variables), makes_database=True).engine
        before = schema.current(engine)
        schema.upgrade(engine, tell=_tell)
        after = schema.current(engine)
    click.echo(f"at {after}" if before == after else f"{before or 'empty'} -> {after}")


@db.command()
@takes_ini
@click.option(
    "--to", "revision", required=True, metavar="REVISION", help="The newest revision of an older version."
)
def downgrade(ini: str, variables: dict[str, str], revision: str) -> None:
    """Downgrade the database to an older version's schema. Data that only newer schemas can hold is lost."""
    with refusals():
        engine = _open_registry(ini, variables).engine
        before = schema.current(engine)
        if revision not in schema.older_than(before):
            raise Refusal(f"the database is at {before or 'none'}; there is no way back to {revision}")
        schema.downgrade(engine, revision, tell=_tell)
    click.echo(f"{before} -> {revision}")


@db.command()
@takes_ini
def current(ini: str, variables: dict[str, str]) -> None:
    """Print the revision of the database, and the newest one."""
    with refusals():
        at = schema.current(_open_registry(ini, variables).engine)
    click.echo(f"at {at or 'none'}, newest {schema.newest()}")


def _open_registry(ini: str, variables: dict[str, str]) -> Database:
    return open_database(load_settings(ini, variables), makes_database=False)


def _tell(sentence: str) -> None:
    click.echo(f"calotype-manage: {sentence}", err=True)


@db.command("new-id")
@takes_ini
@click.option("--yes", is_flag=True, help="Do not ask.")
def new_id(ini: str, variables: dict[str, str], yes: bool) -> None:
    """Give the database a new database id, for a copy that is to be used beside its original.

    No service may use the database meanwhile.
    """
    with refusals():
        settings = load_settings(ini, variables)
        database = open_database(settings, makes_database=False)
        schema.require_newest(database.engine)
        old = _identity_of(database)
        click.echo(
            f"The database is database {old or 'without an id'}. With a new id it is another database: it "
            "may not use the places of its stores until each is claimed for it, with\n"
            f"  calotype-manage stores {settings.arguments} --claim NAME{f' --from {old}' if old else ''}\n"
            "A place belongs to one database only: give a copied database copies of the stores, and stop "
            "the services that use this database before you go on."
        )
        if not yes:
            click.confirm("Give it a new id?", abort=True)
        with database.unit() as unit:
            made = unit.renew_identity()
    click.echo(f"{old or 'none'} -> {made.id}")


def _identity_of(database: Database) -> str | None:
    try:
        return database.identity().id
    except NoIdentity:
        return None


@db.command()
@takes_ini
def check(ini: str, variables: dict[str, str]) -> None:
    """Compare the database with the tables that this version needs. Exit status 1 if they differ."""
    with refusals():
        engine = _open_registry(ini, variables).engine
        schema.require_newest(engine)
        found = schema.differences(engine)
    if found:
        raise Refusal("the database differs from the models: " + "; ".join(str(one[0]) for one in found))
    click.echo(f"at {schema.newest()}, as it should be")
