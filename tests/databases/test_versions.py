"""Upgrade and rollback by the command, as docs/operations.md tells it, of a database that holds images."""

from __future__ import annotations

import subprocess

import pytest

from calotype.database import schema
from calotype.database.engine import build_engine
from tests.conftest import StartServer
from tests.support.forked import run_manage
from tests.support.server import OCTETS, Server, StartFailed, meta

ALL = ("sqlite", "postgresql", "mariadb")
#: The first version's schema: the longest way back.
FIRST = "0001"


def manage(words: str, server: Server) -> subprocess.CompletedProcess[str]:
    """Run a `calotype-manage` command; INI stands for the server's file and its variables."""
    arguments = words.split()
    at = arguments.index("INI")
    arguments[at : at + 1] = [server.ini, *server.variables]
    return run_manage(arguments)


@pytest.mark.parametrize(
    "database",
    [ALL[0], *(pytest.param(kind, marks=pytest.mark.campaign) for kind in ALL[1:])],
    indirect=True,
)
def test_images_survive_the_way_back_and_forth_between_versions(
    database: str, start_server: StartServer
) -> None:
    engine = build_engine(database)
    schema.upgrade(engine)
    engine.dispose()
    server = start_server({"sqlalchemy.url": database, "calotype.migrate": ""})
    name = "Käse \N{SNOWMAN}".encode().decode("latin-1")
    fields = meta(name=name, property_os="linux", is_public="True")
    image = server.post("/images", {**OCTETS, **fields}, b"bytes").image
    server.stop()

    back = manage(f"db downgrade --to {FIRST} INI", server)
    behind = manage("db current INI", server)
    unlike = manage("db check INI", server)
    with pytest.raises(StartFailed, match="run `calotype-manage db upgrade"):
        server.start()
    forth = manage("db upgrade INI", server)
    alike = manage("db check INI", server)

    newest = schema.newest()
    assert (back.returncode, back.stdout) == (0, f"{newest} -> {FIRST}\n"), back.stderr
    assert behind.stdout == f"at {FIRST}, newest {newest}\n"
    assert unlike.returncode == 1
    assert (forth.returncode, forth.stdout) == (0, f"{FIRST} -> {newest}\n"), forth.stderr
    assert alike.returncode == 0, alike.stderr
    server.start()
    now = server.get("/v1/images/detail?property-os=linux").json["images"]
    assert [(one["id"], one["name"], one["size"]) for one in now] == [(image["id"], "Käse \N{SNOWMAN}", 5)]
    assert server.get(f"/images/{image['id']}").body == b"bytes"


def test_there_is_no_way_back_to_what_is_not_older(start_server: StartServer) -> None:
    server = start_server()
    newest = schema.newest()

    for revision in (newest, "9999", "base", "head", "-1"):
        done = manage(f"db downgrade INI --to={revision}", server)

        assert (done.returncode, done.stdout) == (1, "")
        assert (
            done.stderr
            == f"calotype-manage: the database is at {newest}; there is no way back to {revision}\n"
        )
    assert server.get("/images").status == 200
