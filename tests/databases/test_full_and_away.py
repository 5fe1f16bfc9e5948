"""Full disks (r1-H1) and waiting jobs (r1-H4) on PostgreSQL and MariaDB."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from calotype.database.engine import build_engine
from tests.conftest import StartServer
from tests.functional import test_job_outages as outages
from tests.support.server import OCTETS, Server, meta

BOTH = ("postgresql", "mariadb")
#: Triggers that make the server report a full disk for each new image.
FULL = {
    "postgresql": (
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$",
        "CREATE TRIGGER full_disk BEFORE INSERT ON images EXECUTE FUNCTION full_disk()",
    ),
    "mysql": (
        "CREATE TRIGGER full_disk BEFORE INSERT ON images FOR EACH ROW "
        "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1021, MESSAGE_TEXT = 'Disk full'",
    ),
}


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_a_full_disk_of_the_database_gets_507(database: str, start_server: StartServer) -> None:
    """r1-H1"""
    served: Server = start_server({"sqlalchemy.url": database})
    engine = build_engine(database)
    with engine.begin() as connection:
        for statement in FULL[engine.dialect.name]:
            connection.execute(text(statement))
    engine.dispose()

    v2 = json.dumps({"name": "one"}).encode()
    for answer in (
        served.post("/images", meta(name="one")),
        served.post("/images", OCTETS, b"bytes"),
        served.post("/v1/images", meta(name="one", disk_format="raw", container_format="bare")),
        served.post("/v2/images", {"Content-Type": "application/json"}, v2),
    ):
        assert answer.status == 507
        assert "disk of the image database is full" in answer.text


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_jobs_wait_for_a_store_and_then_succeed(
    database: str, start_server: StartServer, tmp_path: Path
) -> None:
    """r1-H4: two processes use one database of each kind."""
    far = tmp_path / "far"
    settings = {"store.far.driver": "file", "store.far.path": str(far), "store.far.create": "true"}
    app = {"sqlalchemy.url": database, **outages.STORES, **settings}
    one, two = (start_server(app, data_dir=tmp_path / "shared") for _ in range(2))
    aside = far.rename(tmp_path / "aside")
    begun = [begin(server) for begin in (outages.begin_import, outages.begin_copy) for server in (one, two)]
    deleted = outages.begin_import(one)
    outages.wait_for(two, outages.has_waited)
    assert two.delete(f"/v2/images/{deleted}").status == 204
    aside.rename(far)
    outages.wait_for(one, lambda task: task["image_id"] == deleted or outages.has_succeeded(task))
    for image_id in begun:
        outages.assert_there(two, image_id)
