"""The file store is a plugin. While it is not installed, the service starts and reports its absence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.environment import Environment
from tests.support.server import OCTETS, Server, StartFailed

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
        server.stop()

        installed.pip("uninstall", "--yes", "calotype-store-file")
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
