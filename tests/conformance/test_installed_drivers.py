"""Stores through the API: the same requests for every store of a server, whatever its driver."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.distributions import LENDING, on_path, write_distribution
from tests.support.server import OCTETS, Server, meta, write_ini

BYTES = bytes(range(256)) * 1000


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two file stores, fast and cold, and one of a driver of another distribution."""
    folder = tmp_path_factory.mktemp("stores")
    plugin = write_distribution(
        folder / "plugin", "test-lending", {"lending": "lending_driver:LendingStore"}, LENDING
    )
    settings = {
        "calotype.stores": "fast cold lending",
        "calotype.default_store": "fast",
        "store.file.path": "",
        "store.file.create": "",
    }
    for name in ("fast", "cold"):
        settings |= {
            f"store.{name}.driver": "file",
            f"store.{name}.path": f"${{data_dir}}/{name}",
            f"store.{name}.create": "true",
        }
    running = Server(folder, write_ini(folder, settings), env=on_path(plugin))
    yield running
    running.stop()


@pytest.mark.parametrize("store", ["fast", "cold", "lending"])
def test_every_store_gives_the_same_responses_to_the_same_requests(stores: Server, store: str) -> None:
    image = stores.post("/images", {**OCTETS, **meta(store=store, name=f"in {store}")}, BYTES).image
    assert (image["status"], image["store"], image["size"]) == ("active", store, len(BYTES))
    assert image["checksum"] == hashlib.md5(BYTES).hexdigest()
    path = f"/images/{image['id']}"
    assert stores.head(path).meta["store"] == store
    got = stores.get(path)
    assert (got.status, got.body) == (200, BYTES)
    assert got.headers["Content-Length"] == str(len(BYTES))
    part = stores.get(path, {"Range": "bytes=1000-1999"})
    assert (part.status, part.body) == (206, BYTES[1000:2000])
    last = stores.get(path, {"Range": "bytes=-5"})
    assert (last.status, last.body, last.headers["Content-Length"]) == (206, BYTES[-5:], "5")
    assert stores.delete(path).status == 200
    assert stores.get(path).status == 404


@pytest.mark.parametrize(("store", "other"), [("fast", "cold"), ("cold", "fast")])
def test_bytes_are_in_the_named_store_and_in_no_other(stores: Server, store: str, other: str) -> None:
    image = stores.post("/images", {**OCTETS, **meta(store=store)}, BYTES).image
    (blob,) = stores.blobs(image["id"], store)
    assert blob.read_bytes() == BYTES
    assert stores.blobs(image["id"], other) == []
    stores.delete(f"/images/{image['id']}")
    assert stores.blobs(image["id"], store) == []


def test_an_upload_without_a_store_goes_to_the_default_store(stores: Server) -> None:
    assert stores.upload(b"somewhere")["store"] == "fast"


def test_the_name_of_a_driver_is_not_accepted_as_a_store(stores: Server) -> None:
    answer = stores.post("/images", {**OCTETS, **meta(store="file")}, b"bytes")
    assert answer.status == 400
    assert "There is no store 'file'; use one of: " in answer.text


def test_the_other_stores_work_while_one_is_broken(stores: Server) -> None:
    in_cold = stores.post("/images", {**OCTETS, **meta(store="cold")}, BYTES).image["id"]
    cold = stores.data_dir / "cold"
    aside = cold.rename(cold.with_name("aside"))
    try:
        assert stores.get(f"/images/{in_cold}").status == 503
        assert stores.post("/images", {**OCTETS, **meta(store="cold")}, BYTES).status == 503
        assert stores.upload(BYTES)["status"] == "active"
    finally:
        aside.rename(cold)
    assert stores.get(f"/images/{in_cold}").body == BYTES


def test_a_server_with_calotype_ini_loads_no_library_of_remote_stores(tmp_path):
    """Each driver would take about 10 MiB and 0.15 s. alembic is loaded only for migrations."""
    code = (
        "import sys; from paste.deploy import loadapp; loadapp(f'config:{sys.argv[1]}');"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(write_ini(tmp_path, {}))]
    subprocess.run(command, check=True, capture_output=True)  # migrates
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())

    assert {"calotype_store_file", "calotype_store_http"} <= loaded
    assert not {"calotype_store_s3", "calotype_store_swift"} & loaded
    assert not {"boto3", "botocore", "swiftclient", "keystoneauth1", "requests", "alembic"} & loaded
