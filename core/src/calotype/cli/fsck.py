"""`calotype-manage fsck`: compare the registry with what the stores hold."""

from __future__ import annotations

import json
from dataclasses import asdict

import click
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import TextColumn, TimeElapsedColumn

from calotype.app import open_service
from calotype.cli.ini import Refusal, load_settings, refusals, takes_ini
from calotype.fsck import Check, Fault, Finding


@click.command()
@takes_ini
@click.option("--store", "only", metavar="NAME", help="Look at this store only.")
@click.option(
    "--deep",
    type=click.FloatRange(min=0, min_open=True),
    metavar="RATE",
    help="Read all bytes too, at so many MiB/s.",
)
@click.option("--repair", is_flag=True, help="Remove what belongs to nobody. Images are never touched.")
@click.option(
    "--window", type=float, default=3600, show_default=True, help="Seconds: leave alone what is younger."
)
@click.option(
    "--after", default="", metavar="KEY", help="Go on after this key, which an earlier run printed."
)
def fsck(
    ini: str,
    variables: dict[str, str],
    only: str | None,
    deep: float | None,
    repair: bool,
    window: float,
    after: str,
) -> None:
    """Compare the registry with the stores, in both directions; changes nothing unless --repair is given.

    On a terminal a line shows how far it is; elsewhere each finding is a JSON object on a line.
    Exit status: 0 all well, 1 something is wrong and stays so, 2 a store could not be looked at.
    """
    unmended = unreadable = 0
    with refusals():
        service = open_service(load_settings(ini, variables))
        try:
            names = [store.name for store in service.stores if only in (None, store.name)]
            if not names:
                raise Refusal(f"there is no store '{only}'")
            for name in names if repair else ():
                if (reason := service.places.may_repair(service.stores[name])) is not None:
                    raise Refusal(f"nothing was repaired: {reason}")
            report = _Report()
            with report:
                for name in names:
                    check = Check(
                        service.registry,
                        service.stores[name],
                        window=window,
                        rate=deep * (1 << 20) if deep else None,
                        repair=repair,
                    )
                    for step in check.run(after):
                        report.show(step)
                        if isinstance(step, Finding) and not step.repaired:
                            unmended += 1
                            unreadable += step.fault is Fault.UNREADABLE
        finally:
            service.close()
    if unreadable:
        raise click.exceptions.Exit(2)
    if unmended:
        raise click.exceptions.Exit(1)


class _Report:
    """Findings on standard output; on a terminal, how far it is on standard error."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Bar(
            TextColumn("{task.completed} looked at, {task.fields[found]} wrong, at {task.fields[key]}"),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("fsck", total=None, found=0, key="-")
        self._found = 0
        self._looked = 0

    def __enter__(self) -> None:
        self._bar.start()

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        if self._console.is_terminal:
            click.echo(f"{self._looked} looked at, {self._found} wrong")
        else:
            click.echo(json.dumps({"looked": self._looked, "wrong": self._found}))

    def show(self, step: object) -> None:
        self._looked += 1
        if isinstance(step, Finding):
            self._found += 1
            if self._console.is_terminal:
                mended = ", removed" if step.repaired else ""
                click.echo(f"store '{step.store}': {step.fault}: {step.image_id or ''} {step.key}{mended}")
            else:
                click.echo(json.dumps(asdict(step)))
        self._bar.update(self._task, completed=self._looked, found=self._found, key=step.key)
