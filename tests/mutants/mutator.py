"""Find each small change of a module: another operator, constant or exception, or a removed statement.

A change must be a mistake that a driver's author could make and that the kit could see. So prose (a string
with a space), f-strings, annotations and docstrings are never changed. A statement that defines a name is
never removed, because without it every run ends with a NameError.
"""

from __future__ import annotations

import ast
import builtins
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

#: Operator -> its text, and the text that replaces it.
COMPARISONS = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
ARITHMETIC = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "//"),
    ast.FloorDiv: ("//", "*"),
    ast.BitOr: ("|", "&"),
    ast.BitAnd: ("&", "|"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
}
CONNECTIVES = {ast.And: ("and", "or"), ast.Or: ("or", "and")}
#: Exception -> its possible replacements. The first one that the module knows replaces it.
SWAPPED = {
    "BlobNotFound": ("Unavailable",),
    "BlobChanged": ("BlobNotFound", "Unavailable"),
    "Duplicate": ("Unavailable", "BlobNotFound"),
    "StoreFull": ("Unavailable", "BlobNotFound"),
    "TooLarge": ("StoreFull", "Unavailable"),
    "Unavailable": ("BlobNotFound",),
    "Misconfigured": ("BlobNotFound",),
    "BaseException": ("Exception",),
    "FileNotFoundError": ("PermissionError",),
    "FileExistsError": ("PermissionError",),
    "OSError": ("KeyError",),
    "StoreError": ("KeyError",),
    "HTTPError": ("KeyError",),
}
CONDITIONS = (ast.Name, ast.Call, ast.Attribute, ast.NamedExpr)


@dataclass(frozen=True)
class Spot:
    """One change: the bytes from `start` to `end` of a file become `replacement`.

    `where` is the function, and `code` the line, so that a table can name the change although lines move.
    """

    file: str
    start: int
    end: int
    text: str
    replacement: str
    line: int
    where: str
    code: str

    @property
    def change(self) -> str:
        """The old and the new code, in one line."""
        return f"{' '.join(self.text.split())} -> {self.replacement}"

    def apply(self, root: Path) -> None:
        """Make the change in a copy of the project; raise ValueError if other text is there."""
        path = root / self.file
        before = path.read_bytes()
        if before[self.start : self.end] != self.text.encode():
            raise ValueError(f"{self.file}: line {self.line} is not {self.text!r}")
        path.write_bytes(before[: self.start] + self.replacement.encode() + before[self.end :])


def spots(root: Path, file: str) -> list[Spot]:
    """Return every change of a module after which the code still compiles."""
    source = (root / file).read_bytes()
    found = sorted(
        set(_Finder(file, source).find()), key=lambda spot: (spot.start, spot.end, spot.replacement)
    )
    return [spot for spot in found if _compiles(source, spot)]


def _compiles(source: bytes, spot: Spot) -> bool:
    try:
        compile(source[: spot.start] + spot.replacement.encode() + source[spot.end :], spot.file, "exec")
    except SyntaxError:
        return False
    return True


class _Finder:
    """Finds the changes of one module."""

    def __init__(self, file: str, source: bytes):
        self._file, self._source = file, source
        self._lines = source.splitlines(keepends=True)
        self._begins = list(itertools.accumulate(map(len, self._lines), initial=0))
        self._tree = ast.parse(source)
        names = {node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name)}
        self._known = names | {
            name.asname or name.name
            for node in ast.walk(self._tree)
            if isinstance(node, ast.ImportFrom)
            for name in node.names
        }

    def find(self) -> Iterator[Spot]:
        """Yield the changes, some of which may not compile."""
        yield from self._visit(self._tree, ())

    def _visit(self, node: ast.AST, where: tuple[str, ...]) -> Iterator[Spot]:
        if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom):
            return
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            where = (*where, node.name)
        for start, end, replacement in self._changes(node):
            yield self._spot(start, end, replacement, where)
        skipped = _skipped(node)
        for child in ast.iter_child_nodes(node):
            if child not in skipped:
                yield from self._visit(child, where)

    def _spot(self, start: int, end: int, replacement: str, where: tuple[str, ...]) -> Spot:
        line = self._source.count(b"\n", 0, start) + 1
        text, code = self._source[start:end].decode(), self._lines[line - 1].decode().strip()
        return Spot(self._file, start, end, text, replacement, line, ".".join(where), code)

    def _changes(self, node: ast.AST) -> Iterator[tuple[int, int, str]]:
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            for op, (left, right) in zip(node.ops, itertools.pairwise(operands), strict=True):
                yield from self._between(left, right, COMPARISONS[type(op)])
        elif isinstance(node, ast.BoolOp):
            for left, right in itertools.pairwise(node.values):
                yield from self._between(left, right, CONNECTIVES[type(node.op)])
        elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
            yield from self._between(node.left, node.right, ARITHMETIC[type(node.op)])
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield self._start(node), self._start(node.operand), ""
        elif isinstance(node, ast.Constant):
            yield from ((self._start(node), self._end(node), other) for other in _other_constants(node.value))
        elif isinstance(node, ast.Name | ast.Attribute):
            yield from self._other_exception(node)
        elif isinstance(node, ast.stmt) and _can_go(node):
            yield self._start(node), self._end(node), "pass"
        test = getattr(node, "test", None)
        if isinstance(node, ast.If | ast.While | ast.IfExp) and isinstance(test, CONDITIONS):
            start, end = self._start(test), self._end(test)
            yield start, end, f"not ({self._source[start:end].decode()})"

    def _between(
        self, left: ast.expr, right: ast.expr, swap: tuple[str, str]
    ) -> Iterator[tuple[int, int, str]]:
        """Yield the change of the operator between two expressions."""
        start, end = self._end(left), self._start(right)
        pattern = swap[0].replace(" ", r"\s+") if swap[0][0].isalpha() else re.escape(swap[0])
        if match := re.search(pattern, self._source[start:end].decode()):
            yield start + match.start(), start + match.end(), swap[1]

    def _other_exception(self, node: ast.Name | ast.Attribute) -> Iterator[tuple[int, int, str]]:
        name = node.id if isinstance(node, ast.Name) else node.attr
        for other in SWAPPED.get(name, ()):
            if other in self._known or hasattr(builtins, other):
                yield self._start(node), self._end(node), other
                return

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self._begins[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._begins[node.end_lineno - 1] + node.end_col_offset


def _other_constants(value: object) -> Iterable[str]:
    """Return the possible replacements of a constant, as source text."""
    if isinstance(value, bool):
        return (str(not value),)
    if isinstance(value, int):
        return (str(value + 1), str(value - 1)) if value else ("1",)
    if isinstance(value, str) and value and " " not in value:
        return (repr(f"{value}x"),)
    return ()


def _can_go(node: ast.stmt) -> bool:
    """Return whether a statement can be removed without a NameError."""
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant | ast.Yield | ast.YieldFrom)
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets)
    return isinstance(node, ast.Return | ast.Raise | ast.AugAssign | ast.Delete | ast.Continue | ast.Break)


def _skipped(node: ast.AST) -> list[ast.AST]:
    """Return the children to leave unchanged: annotations, decorators, docstrings, and texts of options."""
    names = [getattr(node, name, None) for name in ("annotation", "returns")]
    skipped = [child for child in names if child is not None]
    skipped += getattr(node, "decorator_list", [])
    body = getattr(node, "body", None)
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) and body:
        skipped.append(body[0])
    if isinstance(node, ast.Call):
        skipped += [word for word in node.keywords if word.arg in ("description", "pattern")]
    if isinstance(node, ast.Assign) and any(getattr(one, "id", "") == "__all__" for one in node.targets):
        skipped.append(node.value)
    return skipped
