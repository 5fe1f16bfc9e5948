"""Requests that schemathesis makes from /openapi.json: no 500, and every answer is described."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from pyramid.router import Router
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from calotype.app import make_app
from calotype_metadefs import MIGRATIONS
from tests.fuzz.test_requests import EXAMPLES
from tests.support.workbench import make_bench, make_database

CHECKS = [not_a_server_error, content_type_conformance, status_code_conformance]

for media in ("application/offset+octet-stream", "application/partial-upload"):
    schemathesis.serializer.alias(media, "application/octet-stream")
for version in ("2.0", "2.1"):
    schemathesis.serializer.alias(f"application/openstack-images-v{version}-json-patch", "application/json")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    template = make_database(tmp_path_factory.mktemp("openapi") / "registry.sqlite", MIGRATIONS)
    with make_bench(template) as bench:
        yield make_app(bench.service)


def test_every_answer_conforms_to_the_document(app: Router) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    wrong: set[str] = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        # The answer of /events does not end, and /readyz is 503 because no probe runs here.
        if operation.path not in ("/events", "/readyz"):
            wrong |= differences(operation)
    assert wrong == set()


def differences(operation: schemathesis.APIOperation) -> set[str]:
    """Return the differences between the answers to random requests and their description."""
    wrong = set()

    @settings(
        max_examples=max(2, EXAMPLES // 20),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: schemathesis.Case) -> None:
        answer = case.call()
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as failures:
            names = ", ".join(type(one).__name__ for one in failures.exceptions)
            wrong.add(f"{operation.label}: {answer.status_code} {names}")

    ask()
    return wrong
