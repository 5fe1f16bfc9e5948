"""The admin address: metrics and health are served there, and metrics nowhere else."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from webtest import TestApp

from calotype.app import make_app
from tests.servers.common import free_ports
from tests.support.answers import statuses
from tests.support.server import Server, write_ini
from tests.support.wire import read_to_end
from tests.support.workbench import Bench, make_bench, make_database, make_settings

#: What is in every answer of /metrics, and in no other.
COLLECTED = b"calotype_request_seconds"
#: Ways to write /metrics: for proxies, for traversal, for waitress, for a tired operator.
SPELLINGS = (
    *("/metrics", "/metrics/", "/metrics//", "//metrics", "///metrics/", "/Metrics", "/METRICS"),
    *("/metrics?x=1", "/metrics%252f", "/metrics%c0%af", "/metrics/..", "/metrics/.", "/.%2fmetrics"),
    *("/metrics%2f", "/metrics%2F", "/%2fmetrics", "/%6detrics", "/%6d%65%74%72%69%63%73", "/metric%73%2f"),
    *("/./metrics", "/x/../metrics", "/v2/../metrics", "/v2/..%2fmetrics", "/%2e%2e/metrics"),
    *("/metrics;x", "/metrics;x=1", "/;/metrics", "/metrics%3bx", "/metrics%00", "/metrics%20"),
    *("/metrics%09", "/@@metrics", "/metrics/x", "/v1/metrics", "/images/metrics"),
)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int]]:
    """A server with metrics and an admin listener, and the port of the latter."""
    (port,) = free_ports(1)
    folder = tmp_path_factory.mktemp("watched")
    settings = {"calotype.metrics": "true", "calotype.admin_listen": f"127.0.0.1:{port}"}
    server = Server(folder, write_ini(folder, settings))
    yield server, port
    server.stop()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with make_bench(make_database(tmp_path_factory.mktemp("watched") / "registry.sqlite")) as made:
        yield made


def asked(port: int, target: str) -> bytes:
    """Return the whole response to a GET of a target, which is sent unchanged."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return read_to_end(connection)


def test_metrics_and_health_are_served_at_the_admin_address(watched: tuple[Server, int]) -> None:
    """r1-C7: every spelling that works at a public address works there."""
    _, port = watched
    assert COLLECTED in asked(port, "/metrics")
    assert COLLECTED in asked(port, "/metrics/")
    assert asked(port, "/healthz").endswith(b"\r\n\r\nok\n")
    assert statuses(asked(port, "/readyz")) == [200]


def test_no_spelling_of_metrics_is_served_at_the_public_address(watched: tuple[Server, int]) -> None:
    """r1-C7: traversal finds no view there, so no spelling can reach one."""
    server, _ = watched
    targets = [*SPELLINGS, *(f"http://localhost{target}" for target in SPELLINGS)]
    told = {target: asked(server.port, target) for target in targets}

    assert {target for target, answer in told.items() if COLLECTED in answer} == set()
    assert {status for answer in told.values() for status in statuses(answer)} <= {400, 404}


def test_health_is_served_at_the_public_address_too(watched: tuple[Server, int]) -> None:
    """Load balancers need no change."""
    server, _ = watched
    assert server.get("/healthz").text == "ok\n"
    assert server.get("/readyz").status == 200


@pytest.mark.parametrize(
    "path", ["/", "/versions", "/images", "/images/detail", "/v1/images", "/v2/images", "/v2/info"]
)
def test_the_admin_address_serves_only_metrics_and_health(watched: tuple[Server, int], path: str) -> None:
    """An address that is open to monitoring is not a second way to the images."""
    _, port = watched
    assert statuses(asked(port, path)) == [404]


@pytest.mark.parametrize(
    "header", ["calotype.admin", "calotype_admin", "HTTP_calotype.admin", "Calotype-Admin"]
)
def test_no_header_makes_a_public_request_count_as_one_at_the_admin_address(
    watched: tuple[Server, int], header: str
) -> None:
    server, _ = watched
    with contextlib.closing(server.connect()) as connection:
        connection.request("GET", "/metrics", headers={header: "True"})
        assert connection.getresponse().status == 404


def test_the_log_of_the_start_names_the_addresses(watched: tuple[Server, int]) -> None:
    server, port = watched
    assert f"listening on http://127.0.0.1:{server.port} http://127.0.0.1:{port}" in server.log


def test_another_server_serves_no_metrics_and_the_log_warns(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Stock waitress and gunicorn do not listen there: /metrics is closed, and the log says why."""
    settings = make_settings(metrics=True, admin_listen="127.0.0.1:9393")
    app = TestApp(make_app(replace(bench.service, settings=settings)))

    for _ in range(3):
        assert app.get("/metrics", status=404)
    assert app.get("/healthz").text == "ok\n"
    said = [line for line in caplog.messages if "admin_listen = 127.0.0.1:9393 has no effect" in line]
    assert len(said) == 1
