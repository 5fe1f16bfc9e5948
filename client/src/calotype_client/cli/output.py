"""Print records in the format that the user has chosen."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from calotype_client.cli.printing import human_size, printable
from calotype_client.cli.session import Session

Record = Mapping[str, Any]
#: Columns that tables show with a unit.
_SIZES = frozenset({"size", "virtual_size", "to_send", "free", "capacity", "largest"})
#: Columns that a terminal shows in short, because the beginning of an id is enough for every verb.
_IDS = frozenset({"id"})
_SHORT = 8


def show_records(session: Session, records: Sequence[Record], columns: Sequence[str]) -> None:
    """Print a list of records. `columns` are those of a table without -c; other formats have all.

    Raises:
        UsageError: no record has a column that the user has named.
    """
    chosen = _chosen(session, records, columns)
    if session.quiet:
        _print_lines(str(record[columns[0]]) for record in records)
    elif session.format in ("json", "yaml"):
        _print_document(session.format, [_part(record, session.columns) for record in records])
    elif session.format == "value":
        _print_lines(" ".join(_plain(record.get(name)) for name in chosen) for record in records)
    elif session.format == "csv":
        _print_csv(records, chosen)
    else:
        _print_table(records, chosen)


def show_record(session: Session, record: Record, first: Sequence[str] = ()) -> None:
    """Print one record: in a table with one line for each column, `first` before the other ones."""
    names = session.columns or (*first, *sorted(name for name in record if name not in first))
    _chosen(session, [record], names)
    if session.quiet:
        _print_lines([str(record.get("id", ""))])
    elif session.format in ("json", "yaml"):
        _print_document(session.format, _part(record, session.columns))
    elif session.format == "value":
        _print_lines(_plain(record.get(name)) for name in names)
    elif session.format == "csv":
        _print_csv([record], names)
    else:
        _print_fields(record, names)


def _chosen(session: Session, records: Sequence[Record], columns: Sequence[str]) -> Sequence[str]:
    for name in session.columns:
        if records and not any(name in record for record in records):
            known = ", ".join(sorted({key for record in records for key in record}))
            raise click.UsageError(f"There is no column {name!r}. There are: {known}")
    return session.columns or columns


def _part(record: Record, columns: Sequence[str]) -> dict[str, Any]:
    return {name: record.get(name) for name in columns} if columns else dict(record)


def _plain(value: Any) -> str:
    """Return a value as text on one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(_plain(each) for each in value)
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    return printable(text)


def _shown(name: str, value: Any, *, short: bool) -> str:
    """Return a value for people."""
    if name in _SIZES and isinstance(value, int) and not isinstance(value, bool):
        return human_size(value)
    if name in _IDS and short and isinstance(value, str):
        return value[:_SHORT]
    return _plain(value)


def _print_lines(lines: Any) -> None:
    for line in lines:
        click.echo(line)


def _print_document(form: str, document: Any) -> None:
    if form == "json":
        click.echo(json.dumps(document, indent=2, ensure_ascii=not _is_unicode()))
        return
    import yaml

    click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=_is_unicode()), nl=False)


def _print_csv(records: Sequence[Record], columns: Sequence[str]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_plain(record.get(name)) for name in columns] for record in records)
    click.echo(text.getvalue(), nl=False)


def _print_table(records: Sequence[Record], columns: Sequence[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(
            name.replace("_", " "),
            justify="right" if name in _SIZES else "left",
            no_wrap=True,
            overflow="ellipsis" if name == "name" else "fold",
            ratio=None,
        )
    for record in records:
        table.add_row(*(Text(_shown(name, record.get(name), short=True)) for name in columns))
    _print_rich(table)


def _print_fields(record: Record, names: Sequence[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name in names:
        table.add_row(Text(name), Text(_shown(name, record.get(name), short=False)))
    _print_rich(table)


def _print_rich(table: Any) -> None:
    from rich.console import Console

    # A pipe has no width: what reads it gets every line whole.
    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "0")) or 1000
    console = Console(width=width, highlight=False, soft_wrap=False)
    lines = console.render_lines(table, pad=False) if not sys.stdout.isatty() else None
    if lines is None:
        console.print(table)
        return
    for line in lines:
        click.echo("".join(segment.text for segment in line).rstrip())


def _is_unicode() -> bool:
    return (sys.stdout.encoding or "ascii").lower().replace("-", "") == "utf8"
