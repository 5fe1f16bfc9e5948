"""The messages of the code: its string constants, with `...` for inserted values."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.support.pages import ROOT

#: The service and its plugins. The client has pages and messages of its own.
SOURCES = sorted(
    path for part in ("core", "server", "plugins/*") for path in ROOT.glob(f"{part}/src/**/*.py")
)
#: A placeholder of %-formatting.
_PLACE = re.compile(r"%(?:\.\d+)?[a-z]")


def read_trees() -> Iterator[ast.Module]:
    """Yield the syntax tree of each module of the project, without the conformance kit."""
    for path in SOURCES:
        if "testing" not in path.parts:
            yield ast.parse(path.read_text())


def template(node: ast.expr) -> str | None:
    """Return a string constant with `...` for each inserted value, or None if the node is not one."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _PLACE.sub("...", node.value)
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "..." for part in node.values)
        return "".join(parts)
    return None


def read_rows(text: str, columns: int) -> list[list[str]]:
    """Return the rows of the tables with this number of columns, as cells and without headings."""
    lines = text.splitlines()
    heads = {number - 1 for number, line in enumerate(lines) if re.fullmatch(r"\|( --- \|)+", line)}
    rows = (
        line[2:-2].split(" | ")
        for number, line in enumerate(lines)
        if line[:2] == "| " and number not in heads
    )
    return [row for row in rows if len(row) == columns and set(row) != {"---"}]
