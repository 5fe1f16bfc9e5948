"""`calotype-manage db`: the database's schema."""

from __future__ import annotations

import click
from sqlalchemy import Engine

from calotype.cli.ini import Refusal, load_settings, refusals, takes_ini
from calotype.config.settings import Settings
from calotype.database import migrate
from calotype.database.database import Database
from calotype.database.errors import NoIdentity
from calotype.database.opening import open_database
from calotype.extensions import branches_of, load_extensions


@click.group()
def db() -> None:
    """Bring the database's schema up to date, or look at it.

    The core has a branch of migrations, and so has each extension that is on and keeps tables.
    """


@db.command()
@takes_ini
def upgrade(ini: str, variables: dict[str, str]) -> None:
    """Upgrade the database to the newest schema, unless it is there already."""
    with refusals():
        settings = load_settings(ini, variables)
        branches = _branches(settings)
        engine = open_database(settings, makes_database=True).engine
        before = [migrate.current(engine, branch) for branch in branches]
        migrate.upgrade(engine, branches, tell=_tell)
    for branch, was in zip(branches, before, strict=True):
        at = branch.newest
        click.echo(f"{branch.name}: at {at}" if was == at else f"{branch.name}: {was or 'empty'} -> {at}")


@db.command()
@takes_ini
@click.option(
    "--to", "revision", required=True, metavar="REVISION", help="The newest revision of an older version."
)
def downgrade(ini: str, variables: dict[str, str], revision: str) -> None:
    """Take the database back to an older version's schema; what only newer ones can hold is lost.

    The branch of an extension is found by the revision's name.
    """
    with refusals():
        settings = load_settings(ini, variables)
        engine = open_database(settings, makes_database=False).engine
        for branch in _branches(settings):
            before = migrate.current(engine, branch)
            if revision in migrate.older_than(before, branch):
                migrate.downgrade(engine, revision, branch, tell=_tell)
                click.echo(f"{branch.name}: {before} -> {revision}")
                return
        raise Refusal(
            f"the database is at {migrate.current(engine) or 'none'}; there is no way back to {revision}"
        )


@db.command()
@takes_ini
def current(ini: str, variables: dict[str, str]) -> None:
    """Print each branch's revision in the database, and the newest one."""
    with refusals():
        engine, branches = _open(ini, variables)
        for branch in branches:
            at = migrate.current(engine, branch) or "none"
            click.echo(f"{branch.name}: at {at}, newest {branch.newest}")


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
        migrate.require_newest(database.engine)
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
        engine, branches = _open(ini, variables)
        migrate.require_newest(engine, branches)
        found = [one for branch in branches for one in migrate.differences(engine, branch)]
    if found:
        raise Refusal("the database differs from the models: " + "; ".join(str(one[0]) for one in found))
    for branch in branches:
        click.echo(f"{branch.name}: at {branch.newest}, as it should be")


def _open(ini: str, variables: dict[str, str]) -> tuple[Engine, list[migrate.Branch]]:
    settings = load_settings(ini, variables)
    return open_database(settings, makes_database=False).engine, _branches(settings)


def _branches(settings: Settings) -> list[migrate.Branch]:
    return branches_of(load_extensions(settings))


def _tell(sentence: str) -> None:
    click.echo(f"calotype-manage: {sentence}", err=True)
