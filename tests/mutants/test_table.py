"""The list of mutants matches the code: each text occurs once, and each test exists."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants.__main__ import rows_without
from tests.mutants.engine import Outcome, outcome_of
from tests.mutants.table import ROOT, Edit, Mutant, load, rows_of, rows_with_a_test

MUTANTS = load()


def test_every_mutant_has_a_name_of_its_own() -> None:
    assert len({mutant.id for mutant in MUTANTS}) == len(MUTANTS) >= 15


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.id for mutant in MUTANTS])
def test_a_mutant_belongs_to_rows_of_the_threat_catalogue(mutant: Mutant) -> None:
    assert rows_of(mutant)
    assert set(rows_of(mutant)) <= set(rows_with_a_test())


def test_the_page_names_the_rows_that_no_mutant_tries() -> None:
    sentence = rows_without([mutant for mutant in MUTANTS if "G-14" in rows_of(mutant)])

    assert "G-01" in sentence
    assert "G-14" not in sentence


def test_every_row_that_names_a_test_has_a_mutant() -> None:
    assert rows_without(MUTANTS).startswith("Each of the ")


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.id for mutant in MUTANTS])
def test_a_mutant_changes_existing_code_into_code_that_still_parses(mutant: Mutant) -> None:
    """Otherwise the mutant's test would fail because of a syntax error, which proves nothing."""
    for edit in mutant.edits:
        text = (ROOT / edit.file).read_text()
        assert text.count(edit.text) == 1, edit
        assert edit.replacement != edit.text
        if edit.file.endswith(".py"):
            ast.parse(text.replace(edit.text, edit.replacement))


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.id for mutant in MUTANTS])
def test_the_test_of_a_mutant_exists(mutant: Mutant) -> None:
    path, _, name = mutant.test.partition("::")
    functions = (ast.FunctionDef, ast.ClassDef)
    tree = ast.parse((ROOT / path).read_text())
    assert name.partition("[")[0] in {node.name for node in ast.walk(tree) if isinstance(node, functions)}


def test_an_edit_whose_text_is_missing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one two two")
    Edit("file", "one", "three").apply(tmp_path)
    assert (tmp_path / "file").read_text() == "three two two"
    for text in ("one", "two"):
        with pytest.raises(ValueError, match="times"):
            Edit("file", text, "x").apply(tmp_path)


@pytest.mark.parametrize(
    ("status", "failures", "errors", "outcome"),
    [
        (1, 1, 0, Outcome.CAUGHT),
        (1, 1, 2, Outcome.CAUGHT),
        (0, 0, 0, Outcome.SURVIVED),
        (1, 0, 1, Outcome.BROKEN),
        (2, 0, 1, Outcome.BROKEN),
        (4, 0, 0, Outcome.BROKEN),
        (5, 0, 0, Outcome.BROKEN),
    ],
)
def test_a_mutant_is_noticed_by_a_test_that_fails_but_not_by_an_error(
    tmp_path: Path, status: int, failures: int, errors: int, outcome: Outcome
) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        f'<testsuites><testsuite tests="1" failures="{failures}" errors="{errors}"/></testsuites>'
    )
    assert outcome_of(status, report) is outcome
    assert outcome_of(status, tmp_path / "nothing") is (Outcome.SURVIVED if status == 0 else Outcome.BROKEN)
