"""`calotype-manage stores`: show, create and claim the configured stores."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from calotype.app import open_stores
from calotype.checks import prepare_schema
from calotype.cli.ini import Refusal, takes_settings
from calotype.cli.records import show_size
from calotype.config.interpolation import SettingsError
from calotype.config.messages import counted, did_you_mean, with_arguments
from calotype.config.private_files import this_user
from calotype.config.settings import Settings
from calotype.database import migrate
from calotype.database.errors import DatabaseError
from calotype.database.opening import open_database
from calotype.extensions import load_extensions
from calotype.identity.exposure import find_exposed
from calotype.identity.token_file import find_missing_tokens
from calotype.model.overviews import Held
from calotype.operations.stores import Fullness
from calotype.stores.abilities import DirectUrl, External, Listing, LocalFiles, Parts
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import WritableStore
from calotype.stores.errors import ConfigurationError, Misconfigured, StoreError, for_operators
from calotype.stores.probe import probe
from calotype.stores.values import StoreInfo
from calotype.transfers.fsck.absent import find_unreadable
from calotype.transfers.markers import PlaceState
from calotype.transfers.places import Place, Places


@click.command(short_help="Show the stores, and whether each can be used.")
@takes_settings()
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
    help="Show the content of the store's place, ask for confirmation, and mark the place as this "
    "database's.",
)
@click.option(
    "--from",
    "owner",
    metavar="DATABASE-ID",
    help="With --claim: take the place over from the database DATABASE-ID, whose marker it contains.",
)
@click.option(
    "--yes",
    is_flag=True,
    help="With --claim: do not ask. With --create: create the place even if the database has images in "
    "the store.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print how full each store is, and whether it answers, as a JSON object on each line.",
)
def stores(
    settings: Settings,
    probing: bool,
    created: str | None,
    claimed: str | None,
    owner: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Show the stores: driver, abilities, options, state, and which database their places belong to.

    Warn about secrets and databases that other users of the machine could read or write, and about
    images in stores that are off or not configured.
    The exit status is 1 if a store or the database cannot be used, or a place belongs to another database.
    """
    if (claimed is None and owner is not None) or (claimed is None and created is None and yes):
        raise click.UsageError("--from and --yes go with --claim NAME, and --yes also with --create NAME")
    places, unreadable = None, None
    with contextlib.ExitStack() as stack:
        catalog = stack.enter_context(contextlib.closing(open_stores(settings)))
        for name in filter(None, (created, claimed)):
            require_store(name, catalog.entries)
        marking = created is not None or claimed is not None
        try:
            places = stack.enter_context(_open_places(settings, catalog, marking=marking))
        except (SettingsError, DatabaseError) as error:
            if marking:
                raise
            unreadable = error  # raise it later, because the stores can be shown without the database
        if places is not None and created is not None:
            _create(catalog, places, created, afresh=yes)
        if places is not None and claimed is not None:
            _claim(catalog, places, claimed, owner, asking=not yes)
        if as_json:
            works = _print_fullness(catalog, places)
        else:
            works = _show_all(settings, catalog, places, probing=probing)
    if unreadable is not None:
        raise unreadable
    if not works:
        raise click.exceptions.Exit(1)


def require_store(name: str, known: Collection[str]) -> None:
    """Refuse the name of a store that is not known."""
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        raise Refusal(f"there is no store '{name}'{did_you_mean(name, known)}; use one of: {names}")


@contextlib.contextmanager
def _open_places(settings: Settings, catalog: Catalog, *, marking: bool) -> Iterator[Places]:
    """Open the places. If a place will be marked, first create and upgrade the database, as at a start.

    Raises:
        SettingsError, DatabaseError: the database's id cannot be read.
    """
    makes_database = marking and settings.migrate
    with contextlib.closing(open_database(settings, makes_database=makes_database)) as database:
        if marking:
            prepare_schema(database, settings, load_extensions(settings))
        else:
            migrate.require_newest(database.engine)
        database.identity()  # fail here, before anything is printed
        yield Places(database, catalog, settings.arguments or "INI")


def _create(catalog: Catalog, places: Places, name: str, *, afresh: bool) -> None:
    options = catalog[name].driver.options
    try:
        if name not in places:
            catalog[name].create()
        elif places[name].create(afresh=afresh) is PlaceState.FOREIGN:
            raise Refusal(f"store '{name}': {places[name].remark()}")
    except Misconfigured as error:
        raise ConfigurationError(name, for_operators(error) + options.place()) from error
    for _, value in options:
        if isinstance(value, Path) and value.is_dir() and os.geteuid() == value.stat().st_uid == 0:
            click.echo(
                f"calotype-manage: store '{name}': {value} belongs to {this_user()}: if the service runs as "
                f"another user, run `chown -R USER: {shlex.quote(str(value))}` with that user's name",
                err=True,
            )


def _claim(catalog: Catalog, places: Places, name: str, owner: str | None, *, asking: bool) -> None:
    if name not in places:
        raise Refusal(f"store '{name}': cannot be claimed: it takes no uploads, and needs no marker")
    place = places[name]
    place.look()
    _check_owner(catalog, places, place, owner)
    if place.state is PlaceState.OWN:
        click.echo(f"store '{name}': {place.remark()}")
        return
    state, _, _ = place.remark().partition(": ")  # leave out the command, because it is running already
    click.echo(f"store '{name}': {state}")
    if catalog[name].can(Listing):
        held = place.contents()
        click.echo(
            f"It holds {counted(held.count, 'blob')} with {held.bytes} bytes in all; {held.known} of them "
            "belong to images of this database." + "".join(f"\n  {location}" for location in held.examples)
        )
    else:
        click.echo("Its driver cannot list the content of the place.")
    click.echo(
        "Once the place is marked, every object in it without a record in this database counts as an orphan, "
        f"which `calotype-manage fsck {places.ini} --repair` removes."
    )
    if asking:
        click.confirm(f"Mark it as store '{name}' of database {places.database_id}?", abort=True)
    if place.claim(place.marker) is not PlaceState.OWN:
        raise Refusal(f"store '{name}': {place.remark()}")


def _check_owner(catalog: Catalog, places: Places, place: Place, owner: str | None) -> None:
    """Refuse to claim a place unless `owner` is the database that its marker names, or both are missing.

    The marker must not be that of another configured store. `owner` may be missing for the store's own place.
    """
    marker, named = place.marker, f"store '{place.name}': "
    if marker is None:
        if owner is not None:
            raise Refusal(f"{named}its place has no marker; leave --from out")
        return
    if owner is not None and owner != marker.database:
        raise Refusal(f"{named}its marker does not name the database {owner} of --from: {place.remark()}")
    if place.state is PlaceState.OWN:
        return
    if owner is None:
        raise Refusal(f"{named}{place.remark()}")
    if marker.database == places.database_id and marker.store in catalog:
        raise Refusal(
            f"{named}its place is that of store '{marker.store}', which the ini file has too: "
            "give each a place of its own"
        )


def _show_all(settings: Settings, catalog: Catalog, places: Places | None, *, probing: bool) -> bool:
    """Print the stores and the warnings; return whether all stores work."""
    console = Console(highlight=False, soft_wrap=True)
    works = True
    for name, entry in catalog.entries.items():
        console.print(f"[bold]{escape(name)}[/]{' (default)' if name == catalog.default else ''}")
        driver, store = entry.driver, entry.store
        rows = {
            "driver": [f"{driver.name}, of {driver.distribution} {driver.version}"],
            "abilities": [_abilities(store)],
            "options": _listed(store.driver.options.shown()),
            "core's options": _listed(entry.options.shown()),
        }
        error = _check(store)
        rows["state"] = [with_arguments(error or "reachable", settings.arguments)]
        if not error:
            rows["room"] = [_room(store)]
        if places:
            rows["holds"] = [_held(places.database.overviews.held(name))]
        steps = list(probe(store)) if probing and not error else []
        for step in steps:
            rows[step.name] = [step.error or "ok"]
        if store.can(WritableStore):
            rows["place"] = [places[name].remark() if places else "not known: the database cannot be read"]
        for title, lines in rows.items():
            for line in lines:
                console.print(f"  {title:<14}  {escape(line)}")
                title = ""
        works = works and not error and all(step.error is None for step in steps)
    for name, reason in catalog.off.items():
        console.print(f"[bold]{escape(name)}[/]: off: {escape(reason)}")
    if not catalog.entries:
        console.print("no store is on")
    unreadable = find_unreadable(places.database, catalog) if places else ()
    for sentence in (*find_exposed(settings, catalog), *find_missing_tokens(settings), *unreadable):
        console.print(f"warning: {escape(sentence)}")
    return works


def _check(store: CheckedStore) -> str | None:
    """Return why the store cannot be used; None if it can."""
    try:
        store.check()
    except StoreError as error:
        return for_operators(error)
    return None


def _room(store: CheckedStore) -> str:
    """Return how much the store can hold, as far as it knows."""
    try:
        room = store.info()
    except StoreError as error:
        return for_operators(error)
    named = {"capacity": room.capacity, "free": room.free, "largest image": room.largest}
    known = [f"{name} {show_size(size)}" for name, size in named.items() if size is not None]
    if Fullness(room, Held()).is_nearly_full:
        known.append("nearly full")
    return ", ".join(known) or "not known"


def _held(held: Held) -> str:
    """Return what the store holds, as far as the database knows."""
    return f"{counted(held.copies, 'copy', 'copies')} of images, {show_size(held.bytes)}"


def _print_fullness(catalog: Catalog, places: Places | None) -> bool:
    """Print a JSON object for each store that is on; return whether all of them work."""
    works = True
    for name, entry in catalog.entries.items():
        reason, room = _check(entry.store), StoreInfo()
        with contextlib.suppress(StoreError):
            room = room if reason else entry.store.info()
        held = places.database.overviews.held(name) if places else None
        record = {
            "name": name,
            "driver": entry.driver.name,
            "default": name == catalog.default,
            "reachable": reason is None,
            "reason": reason,
            "capacity": room.capacity,
            "free": room.free,
            "nearly_full": Fullness(room, held or Held()).is_nearly_full,
            "copies": held and held.copies,
            "bytes": held and held.bytes,
        }
        click.echo(json.dumps(record))
        works = works and reason is None
    return works


def _listed(options: Mapping[str, str]) -> list[str]:
    return [f"{option} = {value}" for option, value in options.items()] or ["none"]


def _abilities(store: CheckedStore) -> str:
    named = {"write": WritableStore, "list": Listing, "external": External, "direct url": DirectUrl}
    named |= {"local files": LocalFiles, "parts": Parts}
    found = [name for name, ability in named.items() if store.can(ability)]
    return ", ".join(["read", *(["ranges"] if store.driver.ranges else []), *found])
