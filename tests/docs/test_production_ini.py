"""production.ini as it ships: the operator migrates and provides secrets, and the start creates nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.pages import ROOT
from tests.support.server import OCTETS, Server, StartFailed

INI = ROOT / "production.ini"


@pytest.fixture
def database(postgres: Mapping[str, str]) -> dict[str, str]:
    """The environment that the file requires: the URL of PostgreSQL."""
    url = postgres["POSTGRES_URL"].replace("postgresql://", "postgresql+psycopg://")
    return {"CALOTYPE_DATABASE_URL": url}


def manage(command: str, data_dir: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a `calotype-manage` command; INI stands for the file and its variable."""
    words = command.replace("INI", f"{INI} data_dir={data_dir}").split()
    path = Path(sys.executable).with_name("calotype-manage")
    return subprocess.run([path, *words], env={**os.environ, **env}, capture_output=True, text=True)


def test_production_ini_works_after_the_operators_preparation(
    database: dict[str, str], tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    with pytest.raises(StartFailed, match="run `calotype-manage db upgrade"):
        Server(tmp_path, INI, data_dir, database)
    upgraded = manage("db upgrade INI", data_dir, database)
    assert upgraded.returncode == 0, upgraded.stderr
    with pytest.raises(StartFailed, match=r"calotype-manage stores \S+production\.ini .* --create file"):
        Server(tmp_path, INI, data_dir, database)
    created = manage("stores INI --create file", data_dir, database)
    assert created.returncode == 0, created.stdout
    server = Server(tmp_path, INI, data_dir, database)
    try:
        nobody = server.post("/images", OCTETS, b"bytes")
        made = manage("token add INI --user alice --project demo", data_dir, database)
        token = {"X-Auth-Token": made.stdout.split()[-1]}
        image = server.post("/images", {**OCTETS, **token}, b"bytes").image

        assert nobody.status == 401
        assert (image["status"], image["owner"]) == ("active", "demo")
        assert server.get(f"/images/{image['id']}", token).body == b"bytes"
        assert database["CALOTYPE_DATABASE_URL"] not in server.log
    finally:
        server.stop()


def test_without_the_database_url_the_start_ends_with_one_sentence(tmp_path: Path) -> None:
    done = manage("db current INI", tmp_path, {})

    assert done.returncode == 1
    assert done.stderr.startswith(f"calotype-manage: {INI}, line ")
    assert done.stderr.endswith(
        "line 17: database_url: '${env:CALOTYPE_DATABASE_URL}' needs the environment variable "
        "CALOTYPE_DATABASE_URL, which is not set: set it before the command starts, or write the value "
        "itself here\n"
    )
