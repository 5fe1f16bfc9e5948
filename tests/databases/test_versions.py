"""Upgrading a database with images by the command, as docs/operations.md describes it."""

from __future__ import annotations

import subprocess

import pytest
from sqlalchemy import text

from calotype.database.engine import build_engine
from calotype.database.migrate import CORE, downgrade, upgrade
from calotype_metadefs import MIGRATIONS
from tests.conftest import StartServer
from tests.support.forked import run_manage
from tests.support.server import OCTETS, Server, StartFailed, meta

ALL = ("sqlite", "postgresql", "mariadb")
#: The last revision from before the first release.
OLD = "0010"


def manage(words: str, server: Server) -> subprocess.CompletedProcess[str]:
    """Run a `calotype-manage` command. INI stands for the server's file and its variables."""
    arguments = words.split()
    at = arguments.index("INI")
    arguments[at : at + 1] = [server.ini, *server.variables]
    return run_manage(arguments)


@pytest.mark.parametrize(
    "database",
    [ALL[0], *(pytest.param(kind, marks=pytest.mark.campaign) for kind in ALL[1:])],
    indirect=True,
)
def test_images_survive_the_upgrade_from_before_the_first_release(
    database: str, start_server: StartServer
) -> None:
    engine = build_engine(database)
    upgrade(engine, [CORE, MIGRATIONS])
    engine.dispose()
    server = start_server({"sqlalchemy.url": database, "calotype.migrate": ""})
    name = "Käse \N{SNOWMAN}".encode().decode("latin-1")
    fields = meta(name=name, property_os="linux", is_public="True")
    image = server.post("/images", {**OCTETS, **fields}, b"bytes").image
    namespace = server.post(
        "/v2/metadefs/namespaces", {"Content-Type": "application/json"}, b'{"namespace": "n"}'
    )
    assert namespace.status == 201
    server.stop()
    make_old(database, OLD)

    behind = manage("db current INI", server)
    unlike = manage("db check INI", server)
    with pytest.raises(StartFailed, match="run `calotype-manage db upgrade"):
        server.start()
    forth = manage("db upgrade INI", server)
    alike = manage("db check INI", server)

    core, metadefs = CORE.newest, MIGRATIONS.newest
    assert behind.stdout == f"core: at {OLD}, newest {core}\nmetadefs: at none, newest {metadefs}\n"
    assert unlike.returncode == 1
    wanted = f"core: {OLD} -> {core}\nmetadefs: empty -> {metadefs}\n"
    assert (forth.returncode, forth.stdout) == (0, wanted), forth.stderr
    assert alike.returncode == 0, alike.stderr
    server.start()
    now = server.get("/v1/images/detail?property-os=linux").json["images"]
    assert [(one["id"], one["name"], one["size"]) for one in now] == [(image["id"], "Käse \N{SNOWMAN}", 5)]
    assert server.get(f"/images/{image['id']}").body == b"bytes"
    assert server.get("/v2/metadefs/namespaces/n").json == namespace.json


def make_old(url: str, revision: str) -> None:
    """Set the database to a revision from before the first release, when definitions had no branch."""
    engine = build_engine(url)
    downgrade(engine, "core_1")
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE alembic_version SET version_num = '{revision}'"))
        connection.execute(text("DROP TABLE alembic_version_metadefs"))
    engine.dispose()


def test_a_downgrade_to_the_revision_of_the_database_has_nothing_to_do(start_server: StartServer) -> None:
    server = start_server()

    for revision in (CORE.newest, MIGRATIONS.newest):
        done = manage(f"db downgrade INI --to={revision}", server)

        assert (done.returncode, done.stdout) == (1, "")
        assert f"the database is at {revision} already; there is nothing to downgrade" in done.stderr


def test_a_downgrade_to_a_revision_that_is_not_older_is_refused(start_server: StartServer) -> None:
    server = start_server()
    newest = CORE.newest

    for revision in ("9999", "base", "head", "-1"):
        done = manage(f"db downgrade INI --to={revision}", server)

        assert (done.returncode, done.stdout) == (1, "")
        assert (
            done.stderr
            == f"calotype-manage: the database is at {newest}; there is no way back to {revision}\n"
        )
    assert server.get("/images").status == 200


@pytest.mark.parametrize("revision", ["0001", "0009"])
def test_an_older_database_from_before_the_first_release_is_refused_with_one_sentence(
    revision: str, start_server: StartServer
) -> None:
    """The message names the version to upgrade with first."""
    server = start_server()
    server.stop()
    make_old(f"sqlite:///{server.data_dir}/calotype.sqlite", revision)

    done = manage("db upgrade INI", server)

    assert (done.returncode, done.stdout) == (1, "")
    (sentence,) = done.stderr.splitlines()
    assert f"the database is at revision {revision}, from before the first release" in sentence
    assert "upgrade it to 0010 with the commit" in sentence
