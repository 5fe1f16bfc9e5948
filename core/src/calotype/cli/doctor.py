"""`calotype-manage doctor`: check this machine's service, and name the cure of each problem."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from functools import partial

import click
from rich.markup import escape

from calotype.app import open_stores
from calotype.cli.ini import Quantity, takes_settings
from calotype.cli.overviews import as_json_option
from calotype.cli.records import print_records
from calotype.config.interpolation import SettingsError
from calotype.config.messages import with_arguments
from calotype.config.quantities import parse_seconds
from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.opening import open_database
from calotype.database.processes import ServingProcess
from calotype.extensions import branches_of, load_extensions
from calotype.operations import health, machine
from calotype.operations.diagnosis import Check, Diagnosis, examine
from calotype.operations.processes import serving_processes
from calotype.stores.catalog import Catalog
from calotype.stores.errors import StoreError
from calotype.transfers.places import Places


@click.command()
@takes_settings()
@click.option(
    "--timeout",
    type=Quantity("seconds", parse_seconds, 1),
    default=20,
    show_default=True,
    metavar="SECONDS",
    help="Give up checks that have not ended after this time.",
)
@as_json_option
def doctor(settings: Settings, timeout: float, *, as_json: bool) -> None:
    """Check this machine's service, and name the cure of each problem.

    This checks the database, clocks, stores, the certificate of calotype.public_endpoint, limits,
    permissions, versions, processes, and what is left over. A probe of 100 KB is written into each store,
    and removed. Run the command as the service's user, while the service runs. On a terminal the output is
    text. Otherwise each diagnosis is a JSON object on a line. The exit status is 1 if there is a problem.
    """
    healthy = True

    def shown() -> Iterator[Diagnosis]:
        nonlocal healthy
        for diagnosis in _diagnose(settings, timeout):
            healthy = healthy and diagnosis.is_healthy
            yield diagnosis

    print_records(shown(), partial(_to_json, settings), partial(_to_text, settings), as_json=as_json)
    if not healthy:
        raise click.exceptions.Exit(1)


def _to_json(settings: Settings, diagnosis: Diagnosis) -> dict[str, object]:
    sentence = with_arguments(diagnosis.sentence, settings.arguments)
    return {"check": diagnosis.subject, "ok": diagnosis.is_healthy, "diagnosis": sentence}


def _to_text(settings: Settings, diagnosis: Diagnosis) -> str:
    mark = "[green]ok     [/]" if diagnosis.is_healthy else "[red]problem[/]"
    sentence = with_arguments(diagnosis.sentence, settings.arguments)
    return f"{mark} {escape(diagnosis.subject)}: {escape(sentence)}"


def _diagnose(settings: Settings, timeout: float) -> Iterator[Diagnosis]:
    """Yield the diagnoses. The database comes first, because most other checks need it.

    Nothing is closed, because that could wait for a check that hangs. The process ends soon.
    """
    database: Database | None = None

    def check_database() -> Iterator[Diagnosis]:
        nonlocal database
        opened = open_database(settings, makes_database=False)
        branches = branches_of(load_extensions(settings))
        yield from health.check_database(opened, branches, settings.arguments or "INI")
        database = opened  # it can be used: the other checks may ask it

    yield from examine({"database": check_database}, timeout)
    stores: Catalog | None = None
    try:
        stores = open_stores(settings)
    except (SettingsError, StoreError) as error:
        yield Diagnosis("stores", False, str(error))
    yield from examine(_checks(settings, stores, database), timeout)


def _checks(settings: Settings, stores: Catalog | None, database: Database | None) -> dict[str, Check]:
    """Return all checks except that of the database; without those that need what is None."""
    ini = settings.arguments or "INI"
    processes: list[ServingProcess] = []
    checks: dict[str, Check] = {}
    if database is not None:
        processes = [one.process for one in serving_processes(database) if one.is_alive]
        checks["clock"] = partial(health.check_clocks, database)
        checks["processes"] = partial(health.check_processes, database, platform.node())
        checks["leftovers"] = partial(health.check_leftovers, database, ini)
    if stores is not None:
        places = None if database is None else Places(database, stores, ini)
        checks["stores"] = partial(health.check_configured_stores, settings, stores, database)
        checks |= {f"store '{one.name}'": partial(health.check_store, one, places) for one in stores}
        checks["permissions"] = partial(health.check_permissions, settings, stores)
    checks["TLS"] = partial(machine.check_certificate, settings.public_endpoint)
    checks["limits"] = partial(machine.check_limits, processes, platform.node())
    checks["versions"] = partial(machine.check_versions, processes)
    return checks
