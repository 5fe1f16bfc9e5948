"""The files of docs/deployment.md: HAProxy passes images on, and Kubernetes accepts the manifests."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from calotype.cli.ini import load_settings
from calotype.config.settings import Settings
from tests.conftest import StartServer
from tests.docs.test_deploy import need, replaced
from tests.edge.test_admin_listen import COLLECTED, SPELLINGS
from tests.servers import common
from tests.support.callers import Tokens
from tests.support.pages import DOCS
from tests.support.server import OCTETS, Server
from tests.support.waiting import wait_for

PAGE = DOCS / "deployment.md"
#: The rest of HAProxy's configuration around the page's sections.
AROUND = "global\n    tune.bufsize 65536\n    tune.http.maxhdr 256\n\n"
#: Larger than HAProxy's buffers, and than the bodies that the server reads before the application runs.
BIG = 8 << 20


@pytest.fixture
def haproxy(start_server: StartServer, tmp_path: Path) -> Iterator[tuple[int, Server, dict[str, str]]]:
    """HAProxy in front of a service whose second instance is down: its port, the service, and a token."""
    need("haproxy", "haproxy")
    tokens = Tokens(tmp_path)
    token = {"X-Auth-Token": tokens.add("admin", "default", ("admin",))}
    server = start_server(
        {**tokens.settings, "calotype.metrics": "true"},
        {"trusted_proxy": "127.0.0.1", "trusted_proxy_headers": "x-forwarded-for x-forwarded-proto"},
    )
    assert server.readyz(lambda answer: answer.status == 200)
    port, closed = common.free_ports(2)
    changes = {
        "bind :9292": f"bind 127.0.0.1:{port}",
        "127.0.0.1:9292": f"127.0.0.1:{server.port}",
        "127.0.0.2:9292": f"127.0.0.1:{closed}",
    }
    folder = common.Server(tmp_path / "haproxy")
    conf = folder.path("haproxy.cfg", text=AROUND + replaced(DOCS / "deploy" / "haproxy.cfg", **changes))
    running = folder.spawn("haproxy", ["haproxy", "-db", "-f", conf])
    try:
        folder.wait(common.listening(port))
        wait_for(lambda: ask(port, "GET", "/healthz"), lambda answer: answer == (200, b"ok\n"), seconds=20)
        yield port, server, token
    finally:
        folder.stop()
        running.wait()


@pytest.fixture
def manifests() -> list[dict[str, Any]]:
    """The documents of kubernetes.yaml."""
    return list(yaml.safe_load_all((DOCS / "deploy" / "kubernetes.yaml").read_text()))


def ask(
    port: int, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, bytes]:
    """Return the status and the body of a response through HAProxy."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_images_pass_through_haproxy_and_metrics_do_not(
    haproxy: tuple[int, Server, dict[str, str]],
) -> None:
    port, server, token = haproxy
    data = os.urandom(BIG)
    # 400 characters in each of 60 properties are more than HAProxy accepts without tune.bufsize.
    named = {f"x-image-meta-property-p_{number}": "x" * 400 for number in range(60)}

    status, answer = ask(port, "POST", "/images", {**token, **OCTETS, **named}, data)
    assert status == 200, answer
    ((image_id,),) = server.query("SELECT id FROM images WHERE status = 'active'")
    assert ask(port, "GET", f"/images/{image_id}", token) == (200, data)
    assert COLLECTED in server.get("/metrics").body
    for path in SPELLINGS:
        status, body = ask(port, "GET", path)
        assert status in (400, 401, 404), path
        assert COLLECTED not in body, path


def test_the_settings_that_the_page_names_exist() -> None:
    named = set(re.findall(r"`calotype\.([a-z_]+)", PAGE.read_text()))
    assert named
    assert named <= Settings.model_fields.keys() | {"identity"}


def test_the_kubernetes_manifests_follow_the_schema_of_kubernetes(manifests: list[dict[str, Any]]) -> None:
    for manifest in manifests:
        kubernetes_validate.validate(manifest, "1.30", strict=True)
    assert {manifest["kind"] for manifest in manifests} == {
        *("ConfigMap", "Secret", "Job", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy")
    }


def test_the_manifests_fit_together(manifests: list[dict[str, Any]]) -> None:
    """Selectors match the pods, secrets exist, and no container is root or may write to its root."""
    by_kind = {manifest["kind"]: manifest for manifest in manifests}
    pods = [by_kind[kind]["spec"]["template"] for kind in ("Deployment", "Job")]
    labels = pods[0]["metadata"]["labels"]
    for selector in (
        by_kind["Deployment"]["spec"]["selector"]["matchLabels"],
        by_kind["Service"]["spec"]["selector"],
        by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    assert not by_kind["Service"]["spec"]["selector"].items() <= pods[1]["metadata"]["labels"].items()
    for pod in (pod["spec"] for pod in pods):
        names = {v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v}
        assert names == {by_kind["ConfigMap"]["metadata"]["name"]}
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            for variable in container["env"]:
                assert variable["valueFrom"]["secretKeyRef"]["key"] in by_kind["Secret"]["stringData"]


def test_the_service_accepts_the_ini_file_of_the_manifests(
    manifests: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config,) = (manifest for manifest in manifests if manifest["kind"] == "ConfigMap")
    (secret,) = (manifest for manifest in manifests if manifest["kind"] == "Secret")
    for name, text in secret["stringData"].items():
        monkeypatch.setenv(name, text)
    ini = tmp_path / "calotype.ini"
    ini.write_text(config["data"]["calotype.ini"])

    settings = load_settings(str(ini), {})

    assert (settings.identity, settings.migrate) == ("tokens", False)
    assert settings.database_url.get_secret_value().startswith("postgresql+psycopg://")
