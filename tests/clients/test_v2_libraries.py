"""openstacksdk and glanceclient as libraries, the command glance, and the requests of terraform."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.clients.clients import Clients
from tests.support.v2 import Person, fresh, op

BYTES = bytes(range(256)) * 400


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with an image's bytes."""
    path = tmp_path / "disk.raw"
    path.write_bytes(BYTES)
    return path


def test_openstacksdk_gets_the_expected_responses(clients: Clients, file: Path) -> None:
    seen = clients.program("sdk_v2.py", file)
    assert "disk_format" in seen.pop("refused")
    assert seen == {
        "created": ["active", "sdk", "bar"],
        "again": True,
        "found": True,
        "listed": True,
        "missing": None,
        "updated": ["renamed", 64, "property"],
        "tags": ["tag"],
        "deactivated": "deactivated",
        "member": ["somebody", "pending", ["somebody"]],
        "members": 0,
        "bytes": True,
        "methods": ["glance-direct", "web-download", "copy-image"],
        "stores": ["fast", "cold", "web"],
        "imported": "active",
        "deleted": None,
    }


@pytest.mark.parametrize("mode", ["without_identities", "with_tokens"])
def test_109_nova_and_cinder_get_the_expected_responses(
    request: pytest.FixtureRequest, mode: str, file: Path
) -> None:
    clients = request.getfixturevalue(mode)
    seen = clients.program("glance_v2.py", clients.server.base, clients.glance_env["OS_AUTH_TOKEN"], file)
    assert "Not found" in seen.pop("gone")
    assert seen == {
        "updated": ["raw", ["a", "b"], "snapshot"],
        "uploaded": ["active", True],
        "hash": True,
        "bytes": True,
        "removed": False,
        "empty": ["active", 0],
        "no data": True,
        "listed": ["queued", "snapshot", "volume"],
    }


@pytest.mark.campaign
def test_090_glance_manages_an_image_from_creation_to_deletion(clients: Clients, file: Path) -> None:
    name = f"glance {fresh()}"
    formats = ("--disk-format", "raw", "--container-format", "bare", "--file", file)
    made = clients.made("image-create", "--name", name, "--property", "a=b", *formats)
    image_id = made["id"]
    assert (made["status"], made["size"], made["a"]) == ("active", str(len(BYTES)), "b")
    assert name in clients.glance("image-list")
    changed = clients.made("image-update", "--property", "a=c", "--name", "renamed", image_id)
    assert (changed["a"], changed["name"]) == ("c", "renamed")
    assert "a" not in clients.made("image-update", "--remove-property", "a", image_id)
    clients.glance("image-tag-update", image_id, "tagged")
    assert clients.made("image-show", image_id)["tags"] == '["tagged"]'
    saved = file.with_name("saved")
    clients.glance("image-download", "--file", saved, image_id)
    assert saved.read_bytes() == BYTES
    clients.glance("image-deactivate", image_id)
    clients.glance("image-reactivate", image_id)
    assert "pending" in clients.glance("member-create", image_id, "somebody")
    clients.glance("member-delete", image_id, "somebody")
    assert "fast" in clients.glance("stores-info")
    assert "copy-image" in clients.glance("import-info")
    assert "image_count_total" in clients.glance("usage")
    clients.glance("image-tasks", image_id)
    clients.glance("image-delete", image_id)


def test_012_glance_prints_the_services_error(without_identities: Clients) -> None:
    assert "Not found" in without_identities.glance("image-show", fresh(), fails=True)
    formats = ("--disk-format", "floppy", "--container-format", "bare")
    assert "floppy" in without_identities.glance("image-create", *formats, fails=True)
    kept = without_identities.server.post("/v2/images", body=b'{"protected": true}').json["id"]
    assert "not permitted" in without_identities.glance("image-delete", kept, fails=True)


def test_110_the_requests_of_terraform_succeed(with_tokens: Clients) -> None:
    terraform = Person(with_tokens.server, "P1", with_tokens.env["OS_TOKEN"])
    made = terraform.create(
        name="tf", visibility="private", disk_format="raw", container_format="bare", a="b"
    )
    image_id = made.json["id"]
    assert made.status == 201
    assert terraform.put(image_id, iter([BYTES[:5000], BYTES[5000:]])).status == 204
    image = terraform.show(image_id)
    assert (image["status"], image["checksum"]) == ("active", hashlib.md5(BYTES).hexdigest())
    changes = [op("replace", "/name", "new"), op("add", "/c", "d"), op("remove", "/a")]
    changed = terraform.patch(image_id, *changes).json
    assert (changed["name"], changed["c"], "a" in changed) == ("new", "d", False)
    assert terraform.delete(f"/images/{image_id}").status == 204
