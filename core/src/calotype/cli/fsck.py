"""`calotype-manage fsck`: compare the database with the stores."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress as Bar
from rich.progress import TextColumn, TimeElapsedColumn

from calotype.cli.ini import Quantity, ready_service, takes_settings
from calotype.cli.records import print_records
from calotype.cli.stores import require_store
from calotype.config.messages import counted
from calotype.config.quantities import parse_seconds, parse_size
from calotype.config.settings import Settings
from calotype.model.findings import FindingKind
from calotype.transfers.fsck import checks
from calotype.transfers.fsck.steps import Plan, Problem, Refused, Step

#: A lower rate is probably a mistake, because a number without a unit once meant MiB a second.
_RATE = Quantity("rate", parse_size, 1024, ": write the unit, such as 100MiB for 100 MiB a second")


def _read_count(text: str) -> int:
    """Return a whole number. Raise ValueError if the text is none."""
    if not text.isdecimal():
        raise ValueError("it must be a whole number, such as 25")
    return int(text)


#: The problems that keep a store or an image from being checked.
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
    type=Quantity("number", _read_count, 0),
    default=0,
    metavar="N",
    help="Let --repair remove up to N objects of a store. If it refuses to remove so many, its "
    "message names N.",
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

    On a terminal a line shows the progress. Otherwise each problem is a JSON object on a line.
    The exit status is 0 if all is well, 1 if a problem remains or the command could not run, and 2 if a
    store or an image could not be checked. The database keeps the problems as findings:

    \b
      calotype-manage findings INI
    """
    plan = Plan(**planned)
    if plan.agreed and not plan.repair:
        raise click.UsageError("--yes-remove has no effect without --repair: give --repair too")
    report = _Report()
    with ready_service(settings) as service:
        if only is not None:
            require_store(only, {*service.stores.entries, *service.database.stores_in_use()})
        todo = checks(service.database, service.stores, plan, service.places.may_repair, only)
        try:
            with report.bar:
                print_records(report.problems(check.run(after) for check in todo), asdict, _to_text)
        finally:  # report the counts even if the database fails half way
            print_records([report], _Report.to_json, _Report.to_text)
            for refused in report.refusals:
                click.echo(f"calotype-manage: store '{refused.store}': {refused.reason}", err=True)
    if report.status:
        raise click.exceptions.Exit(report.status)


class _Report:
    """The counts of a run so far and its exit status; on a terminal, `bar` shows the progress."""

    def __init__(self) -> None:
        self.status = self.copies = self.objects = self.wrong = 0
        self.refusals: list[Refused] = []
        console = Console(stderr=True)
        self.bar = Bar(
            TextColumn("{task.completed} examined, {task.fields[wrong]} wrong, at {task.fields[key]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )

    def problems(self, runs: Iterable[Iterable[Step]]) -> Iterator[Problem]:
        """Yield the problems among the steps, and count all steps."""
        task = self.bar.add_task("fsck", total=None, wrong=0, key="-")
        for step in itertools.chain.from_iterable(runs):
            if isinstance(step, Refused):
                self.refusals.append(step)
                self.status = max(self.status, 1)
                continue
            if step.image_id is not None:
                self.copies += 1
            elif step.key:  # a step without a key is about the whole store
                self.objects += 1
            if isinstance(step, Problem):
                self.wrong += 1
                if not step.repaired:
                    self.status = max(self.status, 2 if step.fault in _UNCHECKED else 1)
                yield step
            self.bar.update(task, completed=self.copies + self.objects, wrong=self.wrong, key=step.key)

    def to_json(self) -> dict[str, int]:
        return {"copies": self.copies, "objects": self.objects, "wrong": self.wrong}

    def to_text(self) -> str:
        copies, objects = counted(self.copies, "copy", "copies"), counted(self.objects, "object")
        return f"{copies} of images and {objects} in the stores examined, {self.wrong} wrong"


def _to_text(problem: Problem) -> str:
    where = " ".join(filter(None, (problem.image_id, problem.key)))
    detail = f" ({problem.detail})" if problem.detail else ""
    removed = ", removed" if problem.repaired else ""
    return escape(f"store '{problem.store}': {problem.fault}: {where}{detail}{removed}")
