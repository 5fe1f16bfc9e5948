"""`calotype-manage db`: the database's schema and its id."""

from __future__ import annotations

import contextlib
import time

import click

from calotype.cli.ini import Refusal, ready_database, takes_settings
from calotype.config.settings import Settings
from calotype.database import migrate
from calotype.database.database import Database
from calotype.database.errors import NoIdentity
from calotype.database.opening import open_database
from calotype.extensions import branches_of, load_extensions
from calotype.transfers.heartbeat import INTERVAL

#: Seconds to wait for a heartbeat: longer than the interval between two heartbeats of a process.
_WATCH = INTERVAL + 5


@click.group()
def db() -> None:
    """Upgrade, downgrade and check the database's schema.

    The core has a branch of migrations, and so has each extension that is on and keeps tables.
    """


@db.command()
@takes_settings()
def upgrade(settings: Settings) -> None:
    """Upgrade the database to the newest schema. Do nothing if it already has that schema.

    If tables must change, stop every service that uses the database first.
    """
    branches = branches_of(load_extensions(settings))
    with contextlib.closing(open_database(settings, makes_database=True)) as database:
        before = [migrate.current(database.engine, branch) for branch in branches]
        # New tables, such as those of an extension, do not disturb a process that does not know them.
        if any(map(migrate.is_upgradable, before, branches)):
            _require_unused(database)
        migrate.upgrade(database.engine, branches, tell=_tell)
        _tell(f"the database is {database.engine.url.render_as_string(hide_password=True)}")
    for branch, was in zip(branches, before, strict=True):
        at = branch.newest
        click.echo(f"{branch.name}: at {at}" if was == at else f"{branch.name}: {was or 'empty'} -> {at}")


@db.command()
@takes_settings()
@click.option(
    "--to", "revision", required=True, metavar="REVISION", help="The newest revision of an older version."
)
def downgrade(settings: Settings, revision: str) -> None:
    """Downgrade the database to an older version's schema. Data that only newer schemas can hold is lost.

    The revision's name selects the branch: the core's or an extension's. Stop every service that uses the
    database first.
    """
    branches = branches_of(load_extensions(settings))
    with contextlib.closing(open_database(settings, makes_database=False)) as database:
        for branch in branches:
            before = migrate.current(database.engine, branch)
            if revision == before:
                raise Refusal(f"the database is at {revision} already; there is nothing to downgrade")
            if revision in migrate.older_than(before, branch):
                _require_unused(database)
                migrate.downgrade(database.engine, revision, branch, tell=_tell)
                click.echo(f"{branch.name}: {before} -> {revision}")
                return
        at = migrate.current(database.engine)
    state = f"at {at}; there is no way back to {revision}" if at else "empty; there is nothing to downgrade"
    raise Refusal(f"the database is {state}")


@db.command()
@takes_settings()
def current(settings: Settings) -> None:
    """Print each branch's revision in the database, and the newest one."""
    with contextlib.closing(open_database(settings, makes_database=False)) as database:
        for branch in branches_of(load_extensions(settings)):
            at = migrate.current(database.engine, branch) or "none"
            click.echo(f"{branch.name}: at {at}, newest {branch.newest}")


@db.command("new-id", short_help="Give the database a new database id.")
@takes_settings()
@click.option("--yes", is_flag=True, help="Do not ask.")
def new_id(settings: Settings, yes: bool) -> None:
    """Give the database a new database id, for a copy that is to be used beside its original.

    Stop every service that uses the database first.
    """
    with ready_database(settings) as database:
        _require_unused(database)
        try:
            old = database.identity().id
        except NoIdentity:
            old = None
        click.echo(
            f"The database's id is {old or 'missing'}. With a new id it counts as another database: it "
            "may not use the places of its stores until each is claimed for it, with\n"
            f"  calotype-manage stores {settings.arguments} --claim NAME{f' --from {old}' if old else ''}\n"
            "A place belongs to one database only: give a copied database copies of the stores."
        )
        if not yes:
            click.confirm("Give it a new id?", abort=True)
        with database.unit() as unit:
            made = unit.renew_identity()
    click.echo(f"{old or 'none'} -> {made.id}")


@db.command()
@takes_settings()
def check(settings: Settings) -> None:
    """Compare the database with the tables that this version needs. The exit status is 1 if they differ."""
    branches = branches_of(load_extensions(settings))
    with contextlib.closing(open_database(settings, makes_database=False)) as database:
        migrate.require_newest(database.engine, branches)
        found = [one for branch in branches for one in migrate.differences(database.engine, branch)]
    if found:
        raise Refusal(
            "the database differs from the tables of this version: " + "; ".join(str(one[0]) for one in found)
        )
    for branch in branches:
        click.echo(f"{branch.name}: at {branch.newest}, no differences")


def _require_unused(database: Database) -> None:
    """Refuse to continue if a process serves on the database, and so renews its heartbeat.

    A heartbeat alone does not prove that its process runs: the heartbeat of a killed process stays in the
    database, and a copied database contains those of the original's processes.
    """
    seen = {process.id: process.seen_at for process in database.processes.all()}
    if not seen:
        return
    _tell(f"waiting for up to {_WATCH} s to see whether a process still serves on this database")
    end = time.monotonic() + _WATCH
    while time.monotonic() < end:
        time.sleep(0.2)
        listed = database.processes.all()
        serving = [process for process in listed if process.seen_at != seen.get(process.id)]
        if serving:
            names = ", ".join(f"{process.host}, pid {process.pid}" for process in serving)
            raise Refusal(f"a process still serves on this database ({names}): stop every process first")
        if not listed:
            return


def _tell(sentence: str) -> None:
    click.echo(f"calotype-manage: {sentence}", err=True)
