"""Print records in the format that the user has chosen."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from calotype_client.cli.printing import cut_to_width, human_size, printable, text_width
from calotype_client.cli.session import Session

Record = Mapping[str, Any]
#: Columns that tables show with a unit.
_SIZES = frozenset({"size", "virtual_size", "to_send", "free", "capacity", "largest"})
#: Columns that a terminal shows in short, because the beginning of an id is enough for every verb.
_IDS = frozenset({"id"})
_SHORT = 8
#: Columns that can be cut, to no less than this, and the one that may be longer than the line.
_TEXTS, _SHORTEST, _MESSAGE = frozenset({"name", "description", "url"}), 12, "message"
_GAP = "  "


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
    rows = [[_shown(name, record.get(name), short=True) for name in columns] for record in records]
    heads = [name.replace("_", " ") for name in columns]
    widths = [max(map(text_width, column)) for column in zip(heads, *rows, strict=True)]
    widths = _fitted(widths, columns, terminal_width())
    click.echo(_line(heads, widths, columns, is_bold=True))
    for row in rows:
        click.echo(_line(row, widths, columns))


def _line(
    cells: Sequence[str], widths: Sequence[int], columns: Sequence[str], *, is_bold: bool = False
) -> str:
    """Return the first cells of a row in columns of these widths."""
    fitted = []
    for text, width, name in zip(cells, widths, columns, strict=False):
        if text_width(text) > width:
            text = cut_to_width(text, width - 1).rstrip() + "…"
        blanks = " " * (width - text_width(text))
        styled = click.style(text, bold=True) if is_bold and "NO_COLOR" not in os.environ else text
        fitted.append(blanks + styled if name in _SIZES else styled + blanks)
    return _GAP.join(fitted).rstrip()


def _fitted(widths: list[int], columns: Sequence[str], width: int | None) -> list[int]:
    """Return the widths of the columns that fit on the terminal: long texts are cut, then columns left out.

    A cut size or id would be wrong, and a message at the end of the line may go on in the next one.
    """
    if width is None or not widths:
        return widths
    kept = list(widths)
    while True:
        cuttable = [place for place in range(len(kept)) if columns[place] in _TEXTS]
        fixed = kept[:-1] if columns[len(kept) - 1] == _MESSAGE else kept
        excess = sum(fixed) + len(_GAP) * (len(kept) - 1) - width
        for place in cuttable:
            cut = min(max(0, excess), max(0, kept[place] - _SHORTEST))
            kept[place] -= cut
            excess -= cut
        if excess <= 0 or len(kept) == 1:
            return kept
        kept = [*widths[: len(kept) - 1]]


def _print_fields(record: Record, names: Sequence[str]) -> None:
    width = max(map(text_width, names), default=0)
    for name in names:
        label = name + " " * (width - text_width(name))
        styled = label if "NO_COLOR" in os.environ else click.style(label, bold=True)
        click.echo(f"{styled}{_GAP}{_shown(name, record.get(name), short=False)}".rstrip())


def terminal_width() -> int | None:
    """Return the columns of the terminal, or None if the output goes elsewhere, where every line is whole."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _is_unicode() -> bool:
    return (sys.stdout.encoding or "ascii").lower().replace("-", "") == "utf8"
