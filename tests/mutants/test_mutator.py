"""The mutator finds each kind of change, and skips changes that no run of the kit could judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.mutator import spots


def changes(folder: Path, source: str) -> set[str]:
    (folder / "driver.py").write_text(source)
    return {spot.change for spot in spots(folder, "driver.py")}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("if a == b: c()", "== -> !="),
        ("if a < b: c()", "< -> <="),
        ("if a >= b: c()", ">= -> >"),
        ("if a not in b: c()", "not in -> in"),
        ("if a is not b: c()", "is not -> is"),
        ("x = a + b", "+ -> -"),
        ("x = a | b", "| -> &"),
        ("x = 1 << 20", "<< -> >>"),
        ("x = a and b or c", "or -> and"),
        ("x = not a", "not -> "),
        ("x = 7", "7 -> 8"),
        ("x = 7", "7 -> 6"),
        ("x = True", "True -> False"),
        ("x = 'file:'", "'file:' -> 'file:x'"),
        ("if a: c()", "a -> not (a)"),
        ("a.close()", "a.close() -> pass"),
        ("a.b = c", "a.b = c -> pass"),
        ("raise KeyError", "raise KeyError -> pass"),
        ("try: a()\nexcept FileNotFoundError: b()", "FileNotFoundError -> PermissionError"),
    ],
)
def test_each_kind_of_mistake_is_found(tmp_path: Path, line: str, expected: str) -> None:
    assert expected in changes(tmp_path, line)


@pytest.mark.parametrize(
    "line",
    [
        '"""A docstring."""',
        "x: Literal['a', 1]",
        "x = 'prose of a message'",
        "x = f'{a + 1}'",
        "x = a",
        "import a",
        "from a import b",
        "x = Field(a, description='text')",
        "__all__ = ['a']",
    ],
)
def test_text_that_no_kit_can_judge_stays(tmp_path: Path, line: str) -> None:
    assert changes(tmp_path, line) == set()


def test_an_exception_becomes_one_that_the_module_imports(tmp_path: Path) -> None:
    line = "raise Duplicate(name)"

    assert "Duplicate -> Unavailable" not in changes(tmp_path, line)
    assert "Duplicate -> Unavailable" in changes(tmp_path, f"from a import Duplicate, Unavailable\n{line}")


def test_a_change_is_made_at_its_place_only(tmp_path: Path) -> None:
    source = "def ä():\n    x(1)\n    x(1)\n\n\ndef c():\n    x(1)\n"
    (tmp_path / "driver.py").write_text(source)
    *_, last = (spot for spot in spots(tmp_path, "driver.py") if spot.change == "1 -> 2")

    assert (last.where, last.line, last.code) == ("c", 7, "x(1)")
    last.apply(tmp_path)
    assert (tmp_path / "driver.py").read_text() == "def ä():\n    x(1)\n    x(1)\n\n\ndef c():\n    x(2)\n"
    with pytest.raises(ValueError, match="line 7"):
        last.apply(tmp_path)
