"""Print the records of a command: as text or a table on a terminal, and as JSON objects otherwise."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

import click
from pydantic import ByteSize
from rich.console import Console
from rich.markup import escape
from rich.table import Table

Record = TypeVar("Record")


def print_records(
    records: Iterable[Record],
    to_json: Callable[[Record], Mapping[str, Any]],
    to_text: Callable[[Record], str],
    *,
    as_json: bool = False,
) -> None:
    """Print each record: on a terminal as text with rich's markup, otherwise as a JSON object on a line."""
    console = Console(highlight=False, soft_wrap=True)
    for record in records:
        if as_json or not console.is_terminal:
            click.echo(json.dumps(to_json(record), default=_to_iso))
        else:
            console.print(to_text(record))


def print_table(
    records: Iterable[Record],
    columns: Mapping[str, Callable[[Record], object]],
    to_json: Callable[[Any], Mapping[str, Any]] = asdict,
    *,
    as_json: bool = False,
) -> None:
    """Print records: on a terminal as the rows of a table, otherwise as JSON objects on lines.

    `columns` maps the title of each column to the function that returns a record's value.
    """
    console = Console(highlight=False)
    if as_json or not console.is_terminal:
        print_records(records, to_json, str, as_json=True)
        return
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for record in records:
        table.add_row(*(escape(_printable(value(record))) for value in columns.values()))
    console.print(table if table.row_count else "none")


def show_time(at: datetime.datetime) -> str:
    """Return a time in a form for people, such as 2026-01-31 12:00:00Z."""
    return f"{at:%F %T}Z"


def show_size(size: float | None) -> str:
    """Return a size in a form for people, such as 1.5GiB; "-" if it is unknown."""
    return "-" if size is None else ByteSize(int(size)).human_readable()


def _printable(value: object) -> str:
    text = "-" if value is None else str(value)
    return "".join(character if character.isprintable() else "?" for character in text)


def _to_iso(at: datetime.date) -> str:
    """Return a day, or a time in the format of the audit log."""
    return f"{at:%Y-%m-%dT%H:%M:%S.%fZ}" if isinstance(at, datetime.datetime) else f"{at:%F}"
