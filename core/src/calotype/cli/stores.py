"""`calotype-manage stores`: the configured stores, whether they work, and whose their places are."""

from __future__ import annotations

from collections.abc import Mapping

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from calotype.app import open_stores, prepare_schema
from calotype.cli.ini import Refusal, load_settings, refusals, takes_ini
from calotype.config.interpolation import SettingsError
from calotype.config.messages import with_arguments
from calotype.config.settings import Settings
from calotype.database.errors import DatabaseError
from calotype.database.opening import open_database
from calotype.extensions import load_extensions
from calotype.identity.exposure import find_exposed
from calotype.stores.catalog import Catalog, Entry
from calotype.stores.contract import Capability
from calotype.stores.errors import StoreError
from calotype.stores.probe import probe
from calotype.transfers.markers import PlaceState
from calotype.transfers.places import Place, Places


@click.command()
@takes_ini
@click.option(
    "--check",
    "probing",
    is_flag=True,
    help="Write, read and delete a probe in each store, and read a range of it.",
)
@click.option(
    "--create",
    "created",
    metavar="NAME",
    help="First create the store's place, such as a directory or bucket, and mark it if it is empty.",
)
@click.option(
    "--claim",
    "claimed",
    metavar="NAME",
    help="Show the content of the store's place, ask, and mark the place as this database's.",
)
@click.option(
    "--from",
    "owner",
    metavar="DATABASE-ID",
    help="With --claim: take the place over from this database, whose marker is in it.",
)
@click.option("--yes", is_flag=True, help="With --claim: do not ask.")
def stores(
    ini: str,
    variables: dict[str, str],
    probing: bool,
    created: str | None,
    claimed: str | None,
    owner: str | None,
    yes: bool,
) -> None:
    """Show the stores: driver, capabilities, options, state, and which database their places belong to.

    Warn about secrets and databases that other users of the machine could read or write.
    Exit status 1 if a store cannot be reached, or its place belongs to another database.
    """
    if claimed is None and (owner is not None or yes):
        raise click.UsageError("--from and --yes go with --claim NAME")
    console = Console(highlight=False, soft_wrap=True)
    with refusals():
        settings = load_settings(ini, variables)
        catalog = open_stores(settings)
        places: Places | str
        if created is not None or claimed is not None:
            places = opened = _open_places(settings, catalog)
            if created is not None:
                _create(catalog, opened, created)
            if claimed is not None:
                _claim(catalog, opened, claimed, owner, asking=not yes)
        else:
            places = _find_places(settings, catalog)
    failed = [
        name
        for name, entry in catalog.entries.items()
        if not _show(console, entry, places, probing=probing, is_default=name == catalog.default)
    ]
    for name, reason in catalog.off.items():
        console.print(f"[bold]{escape(name)}[/]: off: {escape(reason)}")
    if not catalog.entries:
        console.print("no store is on")
    for sentence in find_exposed(settings, catalog):
        console.print(f"warning: {escape(sentence)}")
    catalog.close()
    if failed:
        raise click.exceptions.Exit(1)


def _open_places(settings: Settings, catalog: Catalog) -> Places:
    """Return the places, for a command that marks one; the database is made, and made ready, as at a start.

    Raises:
        SettingsError, DatabaseError: the database's id cannot be read.
    """
    database = open_database(settings, makes_database=settings.migrate)
    prepare_schema(database, settings, load_extensions(settings))
    return Places(database, catalog, settings.arguments or "INI")


def _find_places(settings: Settings, catalog: Catalog) -> Places | str:
    """Return the places, or why nothing is known of them; makes no database."""
    ini = settings.arguments or "INI"
    try:
        database = open_database(settings, makes_database=False)
        database.identity()
    except (SettingsError, DatabaseError) as error:
        return with_arguments(str(error), ini)
    return Places(database, catalog, ini)


def _known(catalog: Catalog, name: str) -> Entry:
    if name not in catalog:
        raise Refusal(f"there is no store '{name}' (there are: {', '.join(catalog.entries) or 'none'})")
    return catalog.entries[name]


def _create(catalog: Catalog, places: Places, name: str) -> None:
    store = _known(catalog, name).store
    if name not in places:
        store.create()
    elif places[name].create() is PlaceState.FOREIGN:
        raise Refusal(f"store '{name}': {places[name].remark()}")


def _claim(catalog: Catalog, places: Places, name: str, owner: str | None, *, asking: bool) -> None:
    store = _known(catalog, name).store
    if name not in places:
        raise Refusal(f"store '{name}': it takes no uploads, so its place has no marker")
    place = places[name]
    place.look()
    if place.state is PlaceState.OWN:
        click.echo(f"store '{name}': {place.remark()}")
        return
    _check_owner(catalog, places, place, owner)
    click.echo(f"store '{name}': {place.remark()}")
    if store.can(Capability.LISTING):
        held = place.contents()
        click.echo(
            f"It holds {held.count} blobs of {held.bytes} bytes together; {held.known} of them belong to "
            f"images of this database." + "".join(f"\n  {location}" for location in held.examples)
        )
    else:
        click.echo("Its driver cannot list what it holds.")
    click.echo(
        "Once it is marked, what it holds without a record in this database counts as an orphan, which "
        f"`calotype-manage fsck {places.ini} --repair` removes."
    )
    if asking:
        click.confirm(f"Mark it as store '{name}' of database {places.database_id}?", abort=True)
    if place.claim(place.marker) is not PlaceState.OWN:
        raise Refusal(f"store '{name}': {place.remark()}")


def _check_owner(catalog: Catalog, places: Places, place: Place, owner: str | None) -> None:
    """Refuse to claim a place unless `owner` is whose it is, and that is no store beside it."""
    marker = place.marker
    if marker is None:
        if owner is not None:
            raise Refusal(f"store '{place.name}': its place has no marker; leave --from out")
    elif owner != marker.database:
        raise Refusal(f"store '{place.name}': {place.remark()}")
    elif marker.database == places.database_id and marker.store in catalog:
        raise Refusal(
            f"store '{place.name}': its place is that of store '{marker.store}', which the ini file has too: "
            "give each a place of its own"
        )


def _show(console: Console, entry: Entry, places: Places | str, *, probing: bool, is_default: bool) -> bool:
    """Print a store; return whether it works."""
    store = entry.store
    lines = Table.grid(padding=(0, 2))
    lines.add_row("  driver", f"{entry.driver.name}, of {entry.driver.distribution} {entry.driver.version}")
    lines.add_row("  capabilities", _capabilities(store.capabilities))
    lines.add_row("  options", _listed(store.driver.options.shown()))
    lines.add_row("  core's options", _listed(entry.options.shown()))
    try:
        store.check()
        works, state = True, "reachable"
    except StoreError as error:
        works, state = False, error.reason
    lines.add_row("  state", escape(state))
    if probing and works:
        for step in probe(store):
            works = works and step.error is None
            lines.add_row(f"  {step.name}", escape(step.error or "ok"))
    console.print(f"[bold]{escape(store.name)}[/]{' (default)' if is_default else ''}")
    console.print(lines)
    if store.can(Capability.WRITE):
        # Not in the table, which would break the line and the command in it.
        remark = places if isinstance(places, str) else places[store.name].remark()
        console.print(f"  place         {escape(remark)}")
    return works


def _listed(options: Mapping[str, str]) -> str:
    return escape("\n".join(f"{option} = {value}" for option, value in options.items())) or "none"


def _capabilities(capabilities: Capability) -> str:
    return ", ".join(c.name.lower() for c in Capability if c in capabilities and c.name) or "read"
