"""Count all lines of code, and the lines of logic, for each package of the core and each distribution.

    python -m bench.lines

A line of logic holds code that is neither an import nor a docstring. The conformance kit (`testing`) and the
migrations of the database are not counted.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_UNCOUNTED = frozenset({"testing", "migrations"})
#: The package whose own packages are counted separately.
_SPLIT = "api"
_LAYOUT = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
)


@dataclass(frozen=True, slots=True)
class Size:
    """A number of lines, and the number of lines of logic among them."""

    physical: int
    logic: int

    def __add__(self, other: Size) -> Size:
        return Size(self.physical + other.physical, self.logic + other.logic)


@dataclass(frozen=True, slots=True)
class Function:
    """A function: its first line, its number of lines, and its number of parameters besides self or cls."""

    name: str
    line: int
    lines: int
    parameters: int


def size_of(text: str) -> Size:
    """Return the size of a module."""
    prose = {line for node in ast.walk(ast.parse(text)) if _is_prose(node) for line in _lines(node)}
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _LAYOUT:
            code.update(range(token.start[0], token.end[0] + 1))
    return Size(len(text.splitlines()), len(code - prose))


def functions_of(text: str) -> Iterator[Function]:
    """Yield every function of a module, including functions inside classes and functions."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            parameters = sum(one.arg not in ("self", "cls") for one in given)
            yield Function(node.name, node.lineno, len(_lines(node)), parameters)


def modules(source: Path) -> list[Path]:
    """Return the counted modules below a folder, sorted."""
    return sorted(path for path in source.rglob("*.py") if not _UNCOUNTED & set(path.parts))


def distributions() -> Iterator[tuple[str, Path]]:
    """Yield the name and the source folder of each distribution."""
    for source in (
        ROOT / "core/src",
        ROOT / "server/src",
        ROOT / "client/src",
        *sorted(ROOT.glob("plugins/*/src")),
    ):
        yield str(source.parent.relative_to(ROOT)), source


def rooms(source: Path) -> dict[str, Size]:
    """Return the size of each package and each module directly below the distribution's package."""
    found: dict[str, Size] = {}
    for path in modules(source):
        _, *parts = path.relative_to(source).parts
        room = "/".join(parts[:2]) if parts[0] == _SPLIT and len(parts) > 2 else parts[0]
        found[room] = found.get(room, Size(0, 0)) + size_of(path.read_text())
    return found


def main() -> None:
    """Print the table."""
    for name, source in distributions():
        found = rooms(source)
        rows = sorted(found.items()) if len(found) > 1 and name == "core" else []
        for room, size in [*rows, ("", total(found.values()))]:
            print(f"{f'{name} {room}':32}{size.physical:8}{size.logic:8}")


def total(sizes: Iterable[Size]) -> Size:
    """Return the sum of all sizes."""
    return sum(sizes, Size(0, 0))


def _is_prose(node: ast.AST) -> bool:
    is_string = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return isinstance(node, (ast.Import, ast.ImportFrom)) or (is_string and isinstance(node.value.value, str))


def _lines(node: ast.AST) -> range:
    return range(node.lineno, node.end_lineno + 1)


if __name__ == "__main__":
    main()
