"""`calotype-manage stores`: the configured stores, whether they work, and making their places."""

from __future__ import annotations

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from calotype.app import open_stores
from calotype.cli.ini import Refusal, load_settings, refusals, takes_ini
from calotype.stores.catalog import Catalog, Entry
from calotype.stores.contract import Capability
from calotype.stores.errors import StoreError
from calotype.stores.probe import probe


@click.command()
@takes_ini
@click.option("--check", "probing", is_flag=True, help="Write, read, range and delete a probe in each store.")
@click.option(
    "--create", "place", metavar="NAME", help="Make the store's place first: a directory, a bucket ..."
)
def stores(ini: str, variables: dict[str, str], probing: bool, place: str | None) -> None:
    """Show the stores: driver, capabilities, options, and whether they can be reached.

    Exit status 1 when one of them cannot.
    """
    with refusals():
        catalog = open_stores(load_settings(ini, variables))
        if place is not None:
            _create(catalog, place)
    console = Console(highlight=False, soft_wrap=True)
    failed = [
        name for name, entry in catalog.entries.items() if not _show(console, catalog, name, entry, probing)
    ]
    for name, reason in catalog.off.items():
        console.print(f"[bold]{escape(name)}[/]: off: {escape(reason)}")
    if not catalog.entries:
        console.print("no store is on")
    catalog.close()
    if failed:
        raise click.exceptions.Exit(1)


def _create(catalog: Catalog, name: str) -> None:
    if name not in catalog:
        raise Refusal(f"there is no store '{name}' (there are: {', '.join(catalog.entries) or 'none'})")
    catalog[name].create()


def _show(console: Console, catalog: Catalog, name: str, entry: Entry, probing: bool) -> bool:
    """Print a store; whether it works."""
    store = entry.store
    lines = Table.grid(padding=(0, 2))
    lines.add_row("  driver", f"{entry.driver.name}, of {entry.driver.distribution} {entry.driver.version}")
    lines.add_row("  capabilities", _capabilities(store.capabilities))
    shown = "\n".join(f"{option} = {value}" for option, value in store.driver.options.shown().items())
    lines.add_row("  options", escape(shown) or "none")
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
    console.print(f"[bold]{escape(name)}[/]{' (default)' if name == catalog.default else ''}")
    console.print(lines)
    return works


def _capabilities(capabilities: Capability) -> str:
    return ", ".join(c.name.lower() for c in Capability if c in capabilities and c.name) or "read"
