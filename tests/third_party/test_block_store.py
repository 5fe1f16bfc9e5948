"""A server with the block store and with the frozen driver of contract 2.0, installed from their wheels."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.environment import BLOCKS, Environment
from tests.support.server import OCTETS, ROOT, Server, meta, write_ini

SLOT = 64 << 10
#: The slots of the store; the marker of its place uses one of them.
SLOTS = 9
ROOM = (SLOTS - 1) * SLOT
DATA = os.urandom(3 * SLOT + 17)


@pytest.fixture(scope="module")
def server(installed: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a store of nine slots of 64 KiB, and one of the frozen driver."""
    folder = tmp_path_factory.mktemp("blocks")
    keys = {
        "calotype.stores": "file blocks frozen",
        "store.blocks.path": str(folder / "blocks"),
        "store.blocks.slot_size": str(SLOT),
        "store.blocks.slots": str(SLOTS),
        "store.blocks.create": "true",
        "store.frozen.path": str(folder / "frozen"),
        "store.frozen.create": "true",
    }
    running = Server(folder, write_ini(folder, keys), python=installed.python, env={"PYTHONPATH": ""})
    yield running
    running.stop()


def upload(server: Server, data: bytes, store: str = "blocks") -> str:
    image = server.post("/images", {**OCTETS, **meta(store=store)}, data).image
    assert (image["status"], image["store"], image["size"]) == ("active", store, len(data))
    return f"/images/{image['id']}"


def test_the_worked_example_has_less_than_380_lines_that_are_not_blank() -> None:
    files = (ROOT / BLOCKS / "src").rglob("*.py")
    assert 0 < sum(bool(line.strip()) for path in files for line in path.read_text().splitlines()) < 380


@pytest.mark.parametrize("store", ["blocks", "frozen"])
def test_an_image_is_stored_downloaded_and_deleted(server: Server, store: str) -> None:
    path = upload(server, DATA, store)

    assert server.get(path).body == DATA
    part = server.get(path, {"Range": f"bytes={SLOT - 1}-{2 * SLOT}"})
    assert (part.status, part.body) == (206, DATA[SLOT - 1 : 2 * SLOT + 1])
    assert server.delete(path).status == 200
    assert server.get(path).status == 404


@pytest.mark.parametrize("store", ["blocks", "frozen"])
def test_the_command_stores_reports_that_the_store_works(
    server: Server, installed: Environment, store: str
) -> None:
    said = installed.run("calotype-manage", "stores", server.ini, "--check", f"data_dir={server.data_dir}")
    _, _, about = said.partition(f"\n{store}\n")
    assert "its place belongs to this store" in about
    assert f"{store}, of calotype-store-{store} 0.1.0" in about


def test_an_image_of_zeros_needs_no_room(server: Server) -> None:
    zeros = bytes(ROOM)
    paths = [upload(server, zeros) for _ in range(3)]

    assert server.get(paths[0]).body == zeros
    assert [server.delete(path).status for path in paths] == [200, 200, 200]


def test_an_image_for_which_there_is_no_room_is_refused_until_another_one_is_deleted(server: Server) -> None:
    headers = {**OCTETS, **meta(store="blocks")}
    full = upload(server, DATA * 2)
    refused = server.post("/images", headers, DATA * 2)
    assert refused.status == 413
    assert "all its slots are in use" in refused.text
    too_large = server.post("/images", headers, bytes(SLOTS * SLOT + 1))
    assert too_large.status == 413
    assert "the image is larger than" in too_large.text

    assert server.delete(full).status == 200
    assert server.delete(upload(server, DATA * 2)).status == 200
