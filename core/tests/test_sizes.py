"""Limits on the size of modules and functions, and the count of lines. `make lines` prints the table."""

from __future__ import annotations

import pytest

from bench.lines import ROOT, Size, distributions, functions_of, modules, rooms, size_of

MODULE_LINES = 350
FUNCTION_LINES = 45
PARAMETERS = 5

#: Modules that have more lines. This list only gets shorter.
LONG_MODULES: set[str] = set()
#: Functions that have more lines, or more parameters besides self. This list only gets shorter, except for
#: commands: their parameters are the options of the command line.
LARGE_FUNCTIONS = {
    "core/src/calotype/cli/stores.py stores",
}

MODULES = {str(path.relative_to(ROOT)): path for _, source in distributions() for path in modules(source)}


def test_no_module_is_too_long():
    found = {name for name, path in MODULES.items() if size_of(path.read_text()).physical > MODULE_LINES}

    assert found - LONG_MODULES == set(), f"split what has over {MODULE_LINES} lines by what it is about"
    assert LONG_MODULES - found == set(), "take what is no longer too long out of the list"


def test_no_function_is_too_large():
    found = {
        f"{name} {function.name}"
        for name, path in MODULES.items()
        for function in functions_of(path.read_text())
        if function.lines > FUNCTION_LINES or function.parameters > PARAMETERS
    }

    assert found - LARGE_FUNCTIONS == set(), f"over {FUNCTION_LINES} lines or {PARAMETERS} parameters"
    assert LARGE_FUNCTIONS - found == set(), "take what is no longer too large out of the list"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", Size(0, 0)),
        ('"""Prose\n\nof a module."""\n\nimport os\nfrom os import (\n    path,\n)\n', Size(8, 0)),
        ("# A comment\n\nx = 1  # another\n", Size(3, 1)),
        ('def f(a,\n      b):\n    """Prose."""\n    return (\n        a + b\n    )\n', Size(6, 5)),
        ('x = """a\n\nb"""\n', Size(3, 3)),
    ],
)
def test_logic_is_code_without_imports_and_prose(text, size):
    assert size_of(text) == size


def test_parameters_are_counted_without_self():
    (function,) = functions_of("class A:\n    async def f(self, a, /, b, *c, d=1, **e):\n        pass\n")

    assert (function.name, function.line, function.lines, function.parameters) == ("f", 2, 2, 3)


def test_rooms_are_folders_and_the_packages_of_the_api(tmp_path):
    for name in ("app.py", "api/v1/views.py", "stores/a.py", "stores/deep/b.py", "testing/kit.py"):
        file = tmp_path / "package" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x = 1\n")

    assert rooms(tmp_path) == {
        "app.py": Size(1, 1),
        "api/v1": Size(1, 1),
        "stores": Size(2, 2),
    }
