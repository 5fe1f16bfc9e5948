"""Print the records of a command: as text on a terminal, and as JSON objects otherwise."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click
from rich.console import Console

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


def show_time(at: datetime.datetime) -> str:
    """Return a time in a form for people, such as 2026-01-31 12:00:00Z."""
    return f"{at:%F %T}Z"


def _to_iso(at: datetime.datetime) -> str:
    """Return a time in the format of the audit log."""
    return f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"
