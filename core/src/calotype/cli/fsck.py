"""`calotype-manage fsck`: compare the database with the stores."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import TextColumn, TimeElapsedColumn

from calotype.cli.ini import Quantity, ready_service, takes_settings
from calotype.cli.stores import require_store
from calotype.config.quantities import parse_seconds, parse_size
from calotype.config.settings import Settings
from calotype.model.findings import FindingKind
from calotype.transfers.fsck import checks
from calotype.transfers.fsck.steps import Plan, Problem, Refused, Step

#: A lower rate is a mistake: a number without a unit once meant MiB a second.
_RATE = Quantity("rate", parse_size, 1024, ": it is bytes a second, so write 100MiB for 100 MiB a second")
#: The problems that mean that something could not be checked.
_UNCHECKED = (FindingKind.UNREADABLE, FindingKind.UNREACHABLE)


@click.command()
@takes_settings()
@click.option("--store", "only", metavar="NAME", help="Check only this store.")
@click.option(
    "--deep",
    "rate",
    type=_RATE,
    metavar="RATE",
    help="Also read all bytes, at this rate per second, such as 100MiB.",
)
@click.option(
    "--repair", is_flag=True, help="Remove objects that belong to no image. Images are never touched."
)
@click.option(
    "--yes-remove",
    "agreed",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Allow --repair to remove up to N objects of a store, if it asks for that.",
)
@click.option(
    "--window",
    type=Quantity("seconds", parse_seconds, 0),
    default=3600,
    show_default=True,
    help="Keep objects that are younger than this: seconds, or a time such as 2h.",
)
@click.option(
    "--after", default="", metavar="KEY", help="Continue after this key, which an earlier run printed."
)
def fsck(settings: Settings, only: str | None, after: str, **planned: Any) -> None:
    """Compare the database with the stores, in both directions. Remove nothing unless --repair is given.

    On a terminal a line shows the progress; elsewhere each problem is a JSON object on a line.
    The database keeps the problems as findings: see calotype-manage findings.
    Exit status: 0 all is well, 1 a problem remains or the command could not run,
    2 a store could not be checked.
    """
    plan = Plan(**planned)
    if plan.agreed and not plan.repair:
        raise click.UsageError("--yes-remove agrees to what --repair removes: give --repair too")
    with ready_service(settings) as service:
        if only is not None:
            require_store(only, {*service.stores.entries, *service.database.stores_in_use()})
        report = _Report()
        with report:
            for check in checks(service.database, service.stores, plan, service.places.may_repair, only):
                for step in check.run(after):
                    report.show(step)
    if report.status:
        raise click.exceptions.Exit(report.status)


class _Report:
    """Problems on standard output and, on a terminal, the progress on standard error."""

    def __init__(self) -> None:
        self.status = 0
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
        self._refusals: list[Refused] = []

    def __enter__(self) -> None:
        self._bar.start()

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        if self._console.is_terminal:
            click.echo(f"{self._looked} looked at, {self._found} wrong")
        else:
            click.echo(json.dumps({"looked": self._looked, "wrong": self._found}))
        for refused in self._refusals:
            click.echo(f"calotype-manage: store '{refused.store}': {refused.reason}", err=True)

    def show(self, step: Step) -> None:
        if isinstance(step, Refused):
            self._refusals.append(step)
            self.status = max(self.status, 1)
            return
        self._looked += 1
        if isinstance(step, Problem):
            self._found += 1
            if not step.repaired:
                self.status = max(self.status, 2 if step.fault in _UNCHECKED else 1)
            self._print(step)
        self._bar.update(self._task, completed=self._looked, found=self._found, key=step.key)

    def _print(self, problem: Problem) -> None:
        if not self._console.is_terminal:
            click.echo(json.dumps(asdict(problem)))
            return
        where = " ".join(filter(None, (problem.image_id, problem.key)))
        detail = f" ({problem.detail})" if problem.detail else ""
        removed = ", removed" if problem.repaired else ""
        click.echo(f"store '{problem.store}': {problem.fault}: {where}{detail}{removed}")
