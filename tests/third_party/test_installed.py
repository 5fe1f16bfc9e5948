"""The wheels of `make dist`, installed as docs/operations.md says, serve images without the checkout.

Cases r1-E18 and r1-E19.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.debian import unpack
from tests.support.environment import BASE, CLIENT, META, PLUGINS, Environment
from tests.support.server import OCTETS, Server, meta
from tests.third_party.conftest import REST

SHARE = "share/calotype"


@pytest.fixture(scope="module", params=REST)
def environment(request: pytest.FixtureRequest, wheels: dict[str, Path]) -> Iterator[Environment]:
    """An environment with every wheel of ours, outside the checkout."""
    ours = [wheels[source] for source in (META, *BASE, CLIENT, *PLUGINS)]
    with tempfile.TemporaryDirectory(prefix="calotype-environment-") as folder:
        made = Environment(Path(folder, "venv"), linked=request.param == "here")
        only_ours = ("--no-deps", "--no-index") if request.param == "here" else ()
        made.pip("install", "--quiet", *only_ours, *ours)
        yield made


@pytest.fixture(scope="module")
def server(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of that environment, on the ini file that its wheel brought."""
    ini = environment.bin.parent / SHARE / "calotype.ini"
    running = Server(
        tmp_path_factory.mktemp("installed"), ini, python=environment.python, env={"PYTHONPATH": ""}
    )
    yield running
    running.stop()


def test_the_wheels_depend_on_each_other_by_name(environment: Environment) -> None:
    assert environment.pip("check") == "No broken requirements found.\n"


def test_the_files_that_an_operator_copies_come_with_the_wheel(environment: Environment) -> None:
    share = environment.bin.parent / SHARE
    assert {path.name for path in share.iterdir()} == {
        "calotype.ini",
        "production.ini",
        "calotype.service",
        "nginx.conf",
        "alerts.yml",
        "grafana.json",
    }


def test_an_image_is_stored_listed_and_downloaded_again(server: Server) -> None:
    data = os.urandom(300_000)

    image = server.post("/images", {**OCTETS, **meta(name="disk", type="raw", is_public="True")}, data).image

    assert [listed["name"] for listed in server.get("/images").json["images"]] == ["disk"]
    assert server.get(f"/images/{image['id']}").body == data


@pytest.mark.campaign
def test_a_debian_ramdisk_is_returned_unchanged(server: Server, tmp_path: Path) -> None:
    package = unpack("debian-installer-12-netboot-amd64", tmp_path / "package")
    (ramdisk,) = package.glob("**/text/debian-installer/amd64/initrd.gz")
    copy = tmp_path / "copy"

    headers = {**OCTETS, **meta(name="initrd", type="ramdisk", is_public="True")}
    options = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    upload = ["curl", "-fsS", "-X", "POST", "-T", ramdisk, *options, f"{server.base}/images"]
    made = subprocess.run(upload, capture_output=True, check=True)
    (image,) = [row for row in server.get("/images/detail").json["images"] if row["name"] == "initrd"]
    subprocess.run(["curl", "-fsS", "-o", copy, f"{server.base}/images/{image['id']}"], check=True)

    assert image["id"].encode() in made.stdout
    assert image["size"] == ramdisk.stat().st_size
    assert copy.read_bytes() == ramdisk.read_bytes()


def test_two_commands_lead_to_a_stored_image(environment: Environment, tmp_path: Path) -> None:
    """The second is `pserve`. The folder is found from any current folder."""
    folder = tmp_path / "images"
    made = _init(environment, folder, "--examples")
    assert made.returncode == 0, made.stderr
    token = re.search(r"never shown again: (\S+)", made.stdout)[1]
    assert {path.name for path in folder.iterdir()} == {
        *("calotype.ini", "var", "production.ini", "calotype.service", "nginx.conf")
    }
    assert (folder / "var/tokens.json").stat().st_mode & 0o777 == 0o600

    running = Server(
        tmp_path, folder / "calotype.ini", folder / "var", {"PYTHONPATH": ""}, environment.python
    )
    try:
        headers = {"X-Auth-Token": token, **OCTETS, **meta(name="first", type="raw")}
        assert running.post("/images", headers, b"bytes").image["status"] == "active"
        assert running.get("/images").status == 401
    finally:
        running.stop()


def test_a_folder_that_is_not_empty_is_left_alone(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")

    refused = _init(environment, tmp_path)

    assert (refused.returncode, [path.name for path in tmp_path.iterdir()]) == (1, ["mine"])
    assert "is not empty: name a new folder" in refused.stderr


def _init(environment: Environment, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [environment.bin / "calotype-manage", "init", folder, *options]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ""})
