"""`extension.metadefs.enabled = false`: there is no /v2/metadefs and no table of it."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import create_engine, inspect

from tests.conftest import StartServer
from tests.support.forked import run_manage
from tests.support.server import OCTETS, Server, meta

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server({"extension.metadefs.enabled": "false"})


def tables(server: Server) -> set[str]:
    engine = create_engine(f"sqlite:///{server.data_dir}/calotype.sqlite")
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_without_definitions_everything_else_works(server: Server) -> None:
    for path in ("/v2/metadefs", "/v2/metadefs/namespaces", "/v2/metadefs/resource_types"):
        assert server.get(path).status == 404, path
    assert server.post("/v2/metadefs/namespaces", JSON, b'{"namespace": "n"}').status == 404
    assert server.get("/v2/schemas/metadefs/namespace").status == 404
    assert server.get("/v2/schemas/image").status == 200
    assert {name for name in tables(server) if "metadef" in name} == set()

    image = server.post("/images", {**OCTETS, **meta(name="a", is_public="True")}, b"bytes").image
    assert server.get(f"/v2/images/{image['id']}").json["name"] == "a"
    assert server.get(f"/v2/images/{image['id']}/file").body == b"bytes"
    said = run_manage(["db", "current", server.ini, *server.variables]).stdout
    assert said == "core: at core_5, newest core_5\n"
    assert run_manage(["db", "check", server.ini, *server.variables]).returncode == 0


def test_switching_definitions_off_keeps_them(start_server: StartServer) -> None:
    server = start_server()
    path = "/v2/metadefs/namespaces"
    made = server.post(path, JSON, json.dumps({"namespace": "n"}).encode())
    text = server.ini.read_text()
    server.stop()
    server.ini.write_text(text.replace("[app:main]", "[app:main]\nextension.metadefs.enabled = false", 1))
    server.start()
    assert server.get(path).status == 404
    assert run_manage(["db", "check", server.ini, *server.variables]).returncode == 0
    server.stop()
    server.ini.write_text(text)
    server.start()
    assert server.get(f"{path}/n").json == made.json


def test_without_the_dialect_v2_the_other_dialects_work(start_server: StartServer) -> None:
    server = start_server({"calotype.dialects": "v1"})
    image = server.upload(b"bytes")
    for path in ("/v2", "/v2/", "/v2/images", f"/v2/images/{image['id']}", "/v2.15/images", "/v2/metadefs"):
        assert server.get(path).status == 404, path
    assert {one["id"] for one in server.get("/versions").json["versions"]} == {"v1.0", "v1.1"}
    assert (
        server.get(f"/v1/images/{image['id']}").body == server.get(f"/images/{image['id']}").body == b"bytes"
    )
