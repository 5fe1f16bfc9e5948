"""The campaign over the kit: its lists match the code, and its score counts what the kit could see."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants import kit_page, survivors
from tests.mutants.engine import Outcome, changed, failures, outcome_of
from tests.mutants.kit import DRIVERS, Driver, chosen
from tests.mutants.mutator import Spot
from tests.mutants.sabotaged import all_drivers
from tests.mutants.survivors import KINDS, Judged, Reason, reason_for
from tests.mutants.table import ROOT, Mutant

REASONS = survivors.load()
SPOT = Spot("driver.py", 0, 1, "a", "b", 3, "Driver.get", "a = 1")


def test_each_reason_of_the_table_is_about_a_change_of_the_code() -> None:
    found = [spot for driver in DRIVERS for spot in driver.spots()]

    assert [reason for reason in REASONS if not any(map(reason.fits, found))] == []
    assert [reason for reason in REASONS if reason.kind not in KINDS or not reason.reason] == []


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_a_seed_chooses_the_same_changes_again(driver: Driver) -> None:
    assert chosen(driver, 1, 10) == chosen(driver, 1, 10) != chosen(driver, 2, 10)
    for test in (*driver.kit, *driver.tests):
        assert (ROOT / test.partition("::")[0]).exists()


def test_every_table_of_sabotaged_drivers_is_found() -> None:
    found = all_drivers()

    assert len(found) >= 58
    for one in found:
        assert f"class {one.driver}" in (ROOT / one.module).read_text()


def test_a_reason_may_name_a_function_a_line_or_one_change() -> None:
    whole = Reason("driver.py", "Driver.get", "beyond", "why")
    line = Reason("driver.py", "Driver.get", "beyond", "why", code="a = 1")
    other = Reason("driver.py", "Driver.get", "beyond", "why", change="a -> c")

    assert [reason_for(SPOT, [reason]) for reason in (whole, line, other)] == [whole, line, None]


def test_the_score_counts_neither_equivalents_nor_what_is_beyond_the_contract() -> None:
    reasons = [Reason("driver.py", "Driver.get", kind, "why") for kind in KINDS]
    results = [
        *[Judged(SPOT, Outcome.CAUGHT, "test_a")] * 3,
        Judged(SPOT, Outcome.BROKEN, ""),
        *(Judged(SPOT, Outcome.SURVIVED, "", reason) for reason in (None, *reasons)),
    ]
    page = kit_page.parts([], {"file": results}, seed=4, seconds=120)

    assert kit_page.score(results) == 75
    assert "| file | 7 | 1 | 1 | 1 | 3 | 1 | 75.0 % | 60.0 % |" in "\n".join(page)
    assert "UNEXPLAINED" in "\n".join(page)


def test_for_a_driver_an_error_in_the_setup_counts_because_the_kit_makes_the_store_there(
    tmp_path: Path,
) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite failures="0" errors="1">'
        '<testcase name="test_a[1]"><error/></testcase><testcase name="test_b"/></testsuite></testsuites>'
    )

    assert outcome_of(1, report) is Outcome.BROKEN
    assert outcome_of(1, report, errors_count=True) is Outcome.CAUGHT
    assert failures(report) == ["test_a"]


def test_a_copy_is_restored_after_each_mutant(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text("a = 1")
    with changed(tmp_path, Mutant("x", "test", (SPOT,))):
        assert ast.unparse(ast.parse((tmp_path / "driver.py").read_text())) == "b = 1"

    assert (tmp_path / "driver.py").read_text() == "a = 1"
