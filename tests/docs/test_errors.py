"""docs/errors.md has each error that a client can get, with its status and message."""

from __future__ import annotations

import ast
import http
import re

import pyramid.httpexceptions
from waitress import utilities

from calotype.api import v2
from calotype.api.http.errors import STATUS
from tests.docs.sentences import read_rows, template
from tests.support.pages import DOCS

PAGE = (DOCS / "errors.md").read_text()
ROWS = [row for row in read_rows(PAGE, 5) if row[4] != "any other"]


def called(node: ast.AST) -> str:
    """Return the last name of a called or raised expression, or "" if it has none."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def test_the_page_has_each_error_with_its_status() -> None:
    """r1-E21"""
    written = {(row[4].strip("`").rpartition(".")[2], int(row[0])) for row in ROWS}

    assert written == {(kind.__name__, status) for kind, status in STATUS.items()}
    assert len(ROWS) == len(STATUS)


def test_each_status_that_only_a_view_or_the_server_sets_is_on_the_page(nodes: list[ast.AST]) -> None:
    """r1-E21"""
    written = {int(status) for status in re.findall(r"^\| (\d{3}) \|", PAGE, re.M)}
    names = {called(node) for node in nodes if isinstance(node, (ast.Call, ast.Name))}
    kinds = [getattr(module, name, None) for name in names for module in (pyramid.httpexceptions, utilities)]
    given = {getattr(kind, "code", None) for kind in kinds} & set(http.HTTPStatus)
    given |= set(v2.STATUS.values())

    assert {404, 405, 410, 431} <= given <= written


def test_the_messages_of_the_page_are_those_of_the_code(nodes: list[ast.AST]) -> None:
    """r1-E21"""
    ours = {template(node) for node in nodes if isinstance(node, ast.expr)}
    given = [row[1].strip("`").removeprefix("store '...': ") for row in ROWS if row[1].startswith("`")]

    assert len(given) > 30
    assert [sentence for sentence in given if sentence != "..." and sentence not in ours] == []
