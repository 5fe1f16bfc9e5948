"""The page docs/results/kit-mutants.md: the score of the kit, and each survivor with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.mutants.engine import Outcome
from tests.mutants.sabotaged import Sabotaged
from tests.mutants.survivors import KINDS, Judged

_NOTE = """A change that does not compile, or after which the driver cannot be imported, is *not counted*.
*Equivalent*: no caller can see a difference. *Beyond*: the contract leaves it to the driver, and the driver's
own tests decide. The score is the share of the other changes that the kit catches; the *strict score* also
counts those beyond the contract as missed."""


def score(results: Sequence[Judged]) -> float:
    """Return the percentage of changes that the kit caught, of those that it could see."""
    return _percent(_caught(results), len(_of_kind(results, None)))


def parts(
    sabotaged: Sequence[Sabotaged], judged: Mapping[str, Sequence[Judged]], seed: int, seconds: int
) -> list[str]:
    """Return the parts of the page, which are Markdown."""
    caught = sum(one.outcome is Outcome.CAUGHT for one in sabotaged)
    return [
        f"{caught} of {len(sabotaged)} sabotaged drivers fail the case that is named for their mistake. "
        f"The random changes are those of `SEED={seed}`. The run took {seconds // 60} minutes.",
        _summary(judged),
        _NOTE,
        "## Survivors",
        _survivors(judged),
        "## Sabotaged drivers",
        _table(
            ("driver", "the case that must fail", "outcome"),
            [(f"{one.module.stem}: {one.driver}", f"`{one.case}`", one.outcome.value) for one in sabotaged],
        ),
    ]


def _summary(judged: Mapping[str, Sequence[Judged]]) -> str:
    titles = ("driver", "changes", "not counted", *KINDS, "caught", "unexplained", "score", "strict score")
    rows = []
    for name, results in judged.items():
        caught, beyond = _caught(results), len(_of_kind(results, "beyond"))
        survived = len(_of_kind(results, None))
        broken = sum(one.outcome is Outcome.BROKEN for one in results)
        kinds = [len(_of_kind(results, kind)) for kind in KINDS]
        rates = f"{_percent(caught, survived):.1f} %", f"{_percent(caught, survived + beyond):.1f} %"
        rows.append((name, len(results), broken, *kinds, caught, survived, *rates))
    return _table(titles, rows)


def _survivors(judged: Mapping[str, Sequence[Judged]]) -> str:
    rows = [
        (
            f"{one.spot.file.rpartition('src/')[2]}:{one.spot.line}",
            f"`{one.spot.where}`",
            f"`{one.spot.change}`".replace("|", "\\|"),
            one.reason.kind if one.reason else "UNEXPLAINED",
            one.reason.reason if one.reason else "",
            f"`{one.failed}`" if one.failed else "none",
        )
        for results in judged.values()
        for one in sorted(results, key=lambda one: (one.spot.file, one.spot.start))
        if one.outcome is Outcome.SURVIVED
    ]
    return _table(("line", "function", "change", "kind", "reason", "own test that fails"), rows)


def _caught(results: Sequence[Judged]) -> int:
    return sum(one.outcome is Outcome.CAUGHT for one in results)


def _of_kind(results: Sequence[Judged], kind: str | None) -> list[Judged]:
    """Return the survivors whose reason has this kind; None: those without a reason."""
    survived = (one for one in results if one.outcome is Outcome.SURVIVED)
    return [one for one in survived if (one.reason.kind if one.reason else None) == kind]


def _percent(caught: int, missed: int) -> float:
    return 100 * caught / (caught + missed) if caught + missed else 100.0


def _table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
