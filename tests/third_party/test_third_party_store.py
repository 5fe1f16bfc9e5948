"""A third party's store, installed as its users install it, without a change of the core."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.servers.fixtures import started
from tests.support.environment import WEBDAV, Environment
from tests.support.server import OCTETS, ROOT, Server, meta, write_ini

BYTES = bytes(range(256)) * 3000


@pytest.fixture(scope="module")
def webdav() -> Iterator[Mapping[str, str]]:
    """A real nginx with WebDAV."""
    with started("nginx", {"DAV": "1"}) as settings:
        yield settings


@pytest.fixture(scope="module")
def folder(installed: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the ini file, data and log of that environment's server."""
    return tmp_path_factory.mktemp("third-party")


@pytest.fixture(scope="module")
def ini(folder: Path, webdav: Mapping[str, str]) -> Path:
    """calotype.ini with a few lines more: a file store and one of the third party's."""
    return write_ini(
        folder,
        {
            "calotype.stores": "file dav",
            "store.dav.driver": "webdav",
            "store.dav.url": f"{webdav['NGINX_DAV_URL']}/images",
            "store.dav.username": webdav["NGINX_DAV_USER"],
            "store.dav.password": webdav["NGINX_DAV_PASSWORD"],
            "store.dav.create": "true",
        },
    )


@pytest.fixture(scope="module")
def server(installed: Environment, ini: Path, folder: Path) -> Iterator[Server]:
    """A server in the fresh environment."""
    running = Server(folder, ini, python=installed.python, env={"PYTHONPATH": ""})
    yield running
    running.stop()


def test_the_driver_has_less_than_250_lines() -> None:
    lines = sum(len(path.read_text().splitlines()) for path in (ROOT / WEBDAV / "src").rglob("*.py"))
    assert 0 < lines < 250


def test_the_environment_has_the_wheels_and_not_the_checkout(installed: Environment) -> None:
    listed = installed.pip("list", "--format=freeze")
    assert {line.partition("==")[0] for line in listed.splitlines() if line.startswith("calotype")} == {
        "calotype-core",
        "calotype-guestbook",
        "calotype-server",
        "calotype-store-blocks",
        "calotype-store-file",
        "calotype-store-frozen",
        "calotype-store-webdav",
    }
    where = installed.run("python", "-c", "import calotype; print(calotype.__file__)")
    assert Path(where.strip()).is_relative_to(installed.bin.parent)


def test_an_image_is_stored_in_the_store_that_the_header_names_and_can_be_downloaded(
    server: Server, webdav: Mapping[str, str]
) -> None:
    image = server.post("/images", {**OCTETS, **meta(store="dav", name="far")}, BYTES).image
    assert (image["status"], image["store"], image["size"]) == ("active", "dav", len(BYTES))
    (blob,) = Path(webdav["NGINX_DAV_FILES"], "images").glob(f"{image['id']}*/image")
    assert blob.read_bytes() == BYTES
    assert server.blobs(image["id"]) == []

    path = f"/images/{image['id']}"
    assert server.get(path).body == BYTES
    part = server.get(path, {"Range": "bytes=1000-1999"})
    assert (part.status, part.body) == (206, BYTES[1000:2000])
    assert server.delete(path).status == 200
    assert not blob.parent.exists()


def test_an_image_of_unknown_length_is_stored_in_the_third_partys_store(server: Server) -> None:
    blocks = (BYTES[at : at + 10_007] for at in range(0, len(BYTES), 10_007))
    image = server.post("/images", {**OCTETS, **meta(store="dav")}, blocks).image
    assert server.get(f"/images/{image['id']}").body == BYTES


def test_images_without_the_header_are_stored_in_the_file_store(server: Server) -> None:
    assert server.upload(b"near")["store"] == "file"


def test_the_command_stores_reports_that_the_store_works(
    server: Server, installed: Environment, ini: Path, webdav: Mapping[str, str]
) -> None:
    claim = ("--claim", "dav", "--yes")
    said = installed.run("calotype-manage", "stores", ini, *claim, "--check", f"data_dir={server.data_dir}")
    _, _, about = said.partition("\ndav\n")
    assert "its place belongs to this store" in about
    assert "webdav, of calotype-store-webdav 0.1.0" in about
    assert re.findall(r"^  (write|read|range|delete|is gone) +ok *$", about, re.M) == [
        "write",
        "read",
        "range",
        "delete",
        "is gone",
    ]
    assert webdav["NGINX_DAV_PASSWORD"] not in said


@pytest.mark.campaign
def test_the_kit_passes_against_the_configured_store(
    server: Server, installed: Environment, ini: Path, tmp_path: Path
) -> None:
    kit = [
        "--pyargs",
        "calotype.testing.live",
        "--ini",
        ini,
        "--store",
        "dav",
        "--set",
        f"data_dir={tmp_path}",
    ]
    said = installed.run(
        "python", "-m", "pytest", "-q", *kit, "-k", "range or taken or comes_out", cwd=tmp_path
    )
    assert int(re.search(r"(\d+) passed", said)[1]) > 20
    assert "failed" not in said
