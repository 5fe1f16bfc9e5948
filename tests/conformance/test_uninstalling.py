"""The file store is a plugin. While it is not installed, the service starts and reports its absence."""

from __future__ import annotations

import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.environment import Environment
from tests.support.server import OCTETS, Server, StartFailed, write_ini

STORE = "plugins/store_file"


@pytest.fixture
def installed(tmp_path: Path, wheels: Mapping[str, Path]) -> Environment:
    """An environment with the core and the file store."""
    made = Environment(tmp_path / "environment", linked=True)
    made.pip("install", "--no-deps", "--no-index", wheels["server"], wheels["core"], wheels[STORE])
    return made


@pytest.mark.campaign
def test_a_store_is_unavailable_while_its_distribution_is_uninstalled(
    installed: Environment, wheels: Mapping[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    server = Server(tmp_path / "run", python=installed.python, env={"PYTHONPATH": ""})
    try:
        image_id = server.upload(b"kept on disk")["id"]
        installed.pip("uninstall", "--yes", "calotype-store-file")
        assert server.upload(b"stored after all")["status"] == "active"
        assert server.get(f"/images/{image_id}").body == b"kept on disk"
        server.stop()
        server.start()
        assert "no driver 'file' is installed" in server.log
        refused = server.post("/images", OCTETS, b"bytes")
        assert refused.status == 400
        assert "no store that takes uploads" in refused.text
        assert server.head(f"/images/{image_id}").meta["status"] == "active"
        unreadable = server.get(f"/images/{image_id}")
        assert unreadable.status in (502, 503)
        assert "file" in unreadable.text
        assert server.reserve()["status"] == "queued"
        server.stop()

        installed.pip("install", "--no-deps", "--no-index", wheels[STORE])
        server.start()
        assert server.get(f"/images/{image_id}").body == b"kept on disk"
        assert server.upload(b"and more")["store"] == "file"
    except StartFailed as error:
        pytest.fail(str(error))
    finally:
        server.stop()


@pytest.mark.campaign
def test_the_sentence_about_a_driver_without_its_library_names_the_command_that_installs_it(
    installed: Environment, wheels: Mapping[str, Path], tmp_path: Path
) -> None:
    installed.pip("install", "--no-deps", "--no-index", wheels["plugins/store_s3"])
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(installed.bin.parent)}))
    for link in [*packages.glob("boto3*"), *packages.glob("botocore*")]:
        link.unlink()
    (tmp_path / "run").mkdir()
    settings = {"calotype.stores": "file s3", "store.s3.bucket": "images"}
    ini = write_ini(tmp_path / "run", settings)
    with pytest.raises(StartFailed) as failed:
        Server(tmp_path / "run", ini, python=installed.python, env={"PYTHONPATH": ""})

    said = str(failed.value).strip()
    assert "No module named 'boto" in said
    assert said.endswith("(`pip install calotype-store-s3` installs what it requires)")
    command = [installed.python, "-m", "pip", "install", "--no-index", "calotype-store-s3"]
    tried = subprocess.run(command, capture_output=True, text=True)
    assert "Requirement already satisfied: calotype-store-s3" in tried.stdout
    assert "No matching distribution found for boto3" in tried.stderr
