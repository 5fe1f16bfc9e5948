"""The options of verbs that transfer bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from calotype_client.cli.printing import read_size
from calotype_client.transfers.options import TransferOptions

Command = TypeVar("Command", bound=Callable[..., Any])


def rate_option(command: Command) -> Command:
    """Add the option that limits the rate."""
    return click.option(
        "--limit-rate",
        "rate",
        metavar="RATE",
        callback=_read_rate,
        help="Most bytes in a second, such as 20M, which are 20 MiB.",
    )(command)


def _read_rate(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    try:
        rate = None if value is None else read_size(value)
    except ValueError:
        rate = 0
    if rate is not None and rate < 1:
        raise click.BadParameter(f"{value!r} is not a size. Write it as 20M or 1G.")
    return rate


def transfer_options(command: Command) -> Command:
    """Add the options of transfers that can be resumed."""
    command = click.option("--no-resume", is_flag=True, help="Begin anew, even if half is there.")(command)
    command = rate_option(command)
    return click.option(
        "-j",
        "--connections",
        type=click.IntRange(1, 16),
        help="Most connections at the same time. Without it, a pull has 4, and a push 4 over a long line.",
    )(command)


def read_options(given: Mapping[str, Any]) -> TransferOptions:
    """Return the options of a transfer that a command line has."""
    return TransferOptions(
        connections=given.get("connections"),
        rate=given.get("rate"),
        store=given.get("store"),
        resume=not given.get("no_resume"),
        replace=bool(given.get("replace")),
    )
