"""docs/monitoring.md has each metric of the service and each error that it logs."""

from __future__ import annotations

import ast
import re

from prometheus_client.parser import text_string_to_metric_families
from pyramid.router import Router

from calotype.api.http.request import Parts
from calotype.model.findings import FindingKind
from tests.docs.sentences import read_rows, template
from tests.support.pages import DOCS

PAGE = (DOCS / "monitoring.md").read_text()
#: The page's form of a line that consists only of a store's error.
OWN = "store '...': ..."


def test_the_metrics_of_the_page_are_those_of_the_service(application: Router) -> None:
    """r1-E21, both ways"""
    rendered = Parts.of(application.registry).metrics.render().decode()
    given = {
        (family.name + ("_total" if family.type == "counter" else ""), family.type)
        for family in text_string_to_metric_families(rendered)
        if not family.name.endswith("_created")
    }

    assert {(row[0].strip("`"), row[1]) for row in read_rows(PAGE, 5)} == given
    assert len(given) > 10


def test_the_page_says_that_each_scrape_reports_the_whole_service() -> None:
    """r1-E9; tests/functional/test_metrics_of_processes.py proves it"""
    assert "Each scrape reports the whole service." in PAGE
    assert {row[3] for row in read_rows(PAGE, 5)} == {"the service", "the database"}


def test_each_metric_of_an_alert_is_in_the_table() -> None:
    known = {row[0].strip("`") for row in read_rows(PAGE, 5)}
    named = set(re.findall(r"\bcalotype_\w+", PAGE))

    assert {re.sub("_count$", "", name) for name in named} == known


def test_the_page_lists_exactly_the_messages_that_are_logged_as_errors(nodes: list[ast.AST]) -> None:
    """r1-E21, both ways"""
    logged = {
        template(node.args[0])
        for node in nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("error", "exception", "critical")
        and getattr(node.func.value, "id", "") == "log"
    }

    listed = read_rows(PAGE.partition("## Errors in the log")[2], 3)

    assert {row[0].strip("`") for row in listed} == {line if line.strip(".") else OWN for line in logged}
    assert len(logged) > 15


def test_each_kind_of_finding_is_among_the_problems_of_fsck() -> None:
    """r1-E21, both ways"""
    text = (DOCS / "operations.md").read_text()
    table = text.partition("| problem | means | what to do |")[2].partition("\n\n")[0]
    written = {name for line in table.splitlines() for name in re.findall(r"`([^`]+)`", line.split(" | ")[0])}

    assert written == {str(kind) for kind in FindingKind}
