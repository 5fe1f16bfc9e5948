"""Check the stores and formats that a command line names against what the server offers."""

from __future__ import annotations

from collections.abc import Iterable

import click

from calotype_client.client import Client
from calotype_client.errors import NotSupported


def check_choices(client: Client, stores: Iterable[str] = (), disk_format: str | None = None) -> None:
    """Raise UsageError with the choices if the server lacks one of the stores, or the disk format."""
    for store in stores:
        try:
            known = [each.id for each in client.stores()]
        except NotSupported:
            raise click.UsageError(f"{client.host} has only one store: leave out --store.") from None
        _check("store", store, known)
    if disk_format is not None and (formats := client.disk_formats()):
        _check("disk format", disk_format, formats)


def _check(what: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise click.UsageError(f"There is no {what} {name!r}. There are: {', '.join(known)}")
