"""docs/deploy/alerts.yml and grafana.json ask for metrics and labels that a server has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from calotype.model.images import LocationState
from calotype.model.jobs import JobStatus
from calotype.transfers.probes import ProbeState
from tests.support.pages import DOCS
from tests.support.server import Server, write_ini

RULES = [
    rule
    for group in yaml.safe_load((DOCS / "deploy/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
BOARD = json.loads((DOCS / "deploy/grafana.json").read_text())
QUERIES = {rule["alert"]: rule["expr"] for rule in RULES} | {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in BOARD["panels"]
    for target in panel.get("targets", ())
}
#: The values that the queries select by.
VALUES = {*ProbeState, *LocationState, *JobStatus, "5xx", "GET"}
NOW = "2026-01-01 00:00:00.000000"


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """The labels of each metric of a server that has stored, lost and served something."""
    folder = tmp_path_factory.mktemp("metrics")
    server = Server(folder, write_ini(folder, {"calotype.metrics": "true"}))
    image_id = server.upload(b"bytes")["id"]
    assert server.get(f"/images/{image_id}").status == 200
    for blob in server.blobs():
        blob.unlink()
    assert server.get(f"/images/{image_id}").status >= 400
    server.execute(f"INSERT INTO scrubs (store, began_at, checked, failed) VALUES ('file', '{NOW}', 1, 0)")
    server.execute(f"UPDATE image_locations SET quarantined_at = '{NOW}'")
    server.execute(
        "INSERT INTO findings (id, kind, store, subject, detail, state, found_at, seen_at) "
        f"VALUES ('f', 'missing', 'file', 'k', 'd', 'open', '{NOW}', '{NOW}')"
    )
    server.execute(
        "INSERT INTO webhook_deliveries (webhook, id, kind, image_id, status, created_at, attempts) "
        f"VALUES ('hook', 'e', 'created', '{image_id}', 'active', '{NOW}', 0)"
    )
    server.execute(
        "INSERT INTO jobs (id, kind, image_id, status, job_order, outcome, message, request_id, created_at, "
        f"updated_at) VALUES ('j', 'copy', '{image_id}', 'failure', ?, ?, '', '', '{NOW}', '{NOW}')",
        "{}",
        "{}",
    )
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(server.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    yield found
    server.stop()


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_asks_for_metrics_and_labels_that_exist(name: str, labels: dict[str, set[str]]) -> None:
    query = QUERIES[name]
    assert query.count("(") == query.count(")")
    metrics = re.findall(r"\b(calotype_\w+)(?:\{([^}]*)\})?", query)
    known: set[str] = {"instance"}
    assert metrics
    for metric, selectors in metrics:
        assert metric in labels
        known |= labels[metric]
        selected = re.findall(r'(\w+)!?="(\w+)"', selectors)
        assert ", ".join(re.findall(r'\w+!?="\w+"', selectors)) == selectors
        assert {label for label, _ in selected} <= labels[metric]
        assert {value for _, value in selected} <= VALUES
    grouped = {
        label for names in re.findall(r"\b(?:by|without) \(([^)]*)\)", query) for label in names.split(", ")
    }
    assert grouped <= known


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do_with_the_labels_that_it_has(rule: dict[str, Any]) -> None:
    texts = rule["annotations"]
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(texts.values())))
    kept = {label for names in re.findall(r"\bby \(([^)]*)\)", rule["expr"]) for label in names.split(", ")}

    assert rule["labels"]["severity"] in ("warning", "critical")
    assert set(texts) == {"summary", "description"}
    assert used <= kept | ({"webhook"} if "_backlog" in rule["expr"] else set())


def test_each_panel_has_a_place_of_its_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells
