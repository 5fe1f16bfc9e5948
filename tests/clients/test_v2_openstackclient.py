"""The commands of openstackclient."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.clients.clients import Clients
from tests.support.v2 import fresh

BYTES = bytes(range(256)) * 400


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with an image's bytes."""
    path = tmp_path / "disk.raw"
    path.write_bytes(BYTES)
    return path


def test_080_openstackclient_manages_an_image_from_creation_to_deletion(clients: Clients, file: Path) -> None:
    name = f"osc {fresh()}"
    create = ("image", "create", "--file", file, "--disk-format", "raw", "--container-format", "bare")
    made = clients.shown(*create, "--property", "foo=bar", "--tag", "t1", name)
    assert (made["status"], made["size"], made["tags"]) == ("active", len(BYTES), ["t1"])
    assert made["checksum"] == hashlib.md5(BYTES).hexdigest()
    assert made["properties"]["foo"] == "bar"

    listed = clients.shown("image", "list", "--name", name)
    assert [(one["ID"], one["Status"]) for one in listed] == [(made["id"], "active")]
    assert clients.shown("image", "show", name)["id"] == made["id"]

    clients.openstack(
        "image", "set", "--property", "a=b", "--min-ram", "10", "--tag", "t2", "--protected", name
    )
    clients.openstack("image", "unset", "--property", "foo", "--tag", "t1", name)
    changed = clients.shown("image", "show", made["id"])
    assert (changed["min_ram"], changed["protected"], changed["tags"]) == (10, True, ["t2"])
    assert changed["properties"]["a"] == "b"
    assert "foo" not in changed["properties"]

    saved = file.with_name("saved")
    clients.openstack("image", "save", "--file", saved, name)
    assert saved.read_bytes() == BYTES

    clients.openstack("image", "set", "--deactivate", name)
    assert clients.shown("image", "show", name)["status"] == "deactivated"
    clients.openstack("image", "set", "--activate", "--unprotected", name)
    clients.openstack("image", "delete", name)
    assert clients.shown("image", "list", "--name", name) == []
    assert "No Image found" in clients.openstack("image", "show", name, fails=True)


@pytest.mark.campaign
def test_080_clients_notice_bytes_that_were_changed_in_the_store(
    without_identities: Clients, file: Path
) -> None:
    create = (
        "image",
        "create",
        "--file",
        file,
        "--disk-format",
        "raw",
        "--container-format",
        "bare",
        fresh(),
    )
    image_id = without_identities.shown(*create)["id"]
    (blob,) = without_identities.server.blobs(image_id, "fast")
    blob.chmod(0o600)
    blob.write_bytes(BYTES[:-1] + b"x")
    saved = file.with_name("saved")
    without_identities.openstack("image", "save", "--file", saved, image_id, fails=True)
    said = without_identities.glance("image-download", "--file", saved, image_id, fails=True)
    assert "orrupt" in said


@pytest.mark.campaign
def test_an_image_is_imported_through_openstackclient(clients: Clients, file: Path) -> None:
    create = (
        "image",
        "create",
        "--import",
        "--file",
        file,
        "--disk-format",
        "raw",
        "--container-format",
        "bare",
    )
    image_id = clients.shown(*create, f"imported {fresh()}")["id"]
    end = 100
    while clients.shown("image", "show", image_id)["status"] != "active":
        end -= 1
        assert end
    assert "glance-direct" in clients.openstack("image", "import", "info")
    assert {one["ID"] for one in clients.shown("image", "stores", "list")} == {"fast", "cold", "web"}
    clients.openstack("image", "delete", image_id)


@pytest.mark.campaign
def test_openstackclient_shares_an_image_with_a_project(with_keystone: Clients, file: Path) -> None:
    clients = with_keystone
    image_id = clients.shown("image", "create", f"shared {fresh()}")["id"]
    clients.openstack("image", "add", "project", image_id, "other")
    (member,) = clients.shown("image", "member", "list", image_id)
    assert member["Status"] == "pending"
    clients.openstack("image", "remove", "project", image_id, "other")
    assert clients.shown("image", "member", "list", image_id) == []


def test_006_a_list_requires_only_an_endpoint(without_identities: Clients) -> None:
    clients, base = without_identities, without_identities.server.base
    name = fresh()
    image_id = clients.shown("image", "create", name)["id"]
    env = {"OS_AUTH_TYPE": "none", "OS_ENDPOINT": base}
    assert image_id in clients.openstack("image", "list", "--name", name, env=env)


@pytest.mark.campaign
def test_006_clients_accept_every_form_of_the_endpoint(without_identities: Clients, tmp_path: Path) -> None:
    clients, base = without_identities, without_identities.server.base
    name = fresh()
    image_id = clients.shown("image", "create", name)["id"]
    clouds = tmp_path / "clouds.yaml"
    clouds.write_text(f"clouds: {{img: {{auth_type: none, auth: {{endpoint: '{base}'}}}}}}\n")
    for env, argv in (
        ({"OS_AUTH_TYPE": "none", "OS_ENDPOINT": f"{base}/v2"}, ()),
        ({}, ("--os-auth-type", "none", "--os-endpoint", base)),
        ({"OS_CLIENT_CONFIG_FILE": str(clouds)}, ("--os-cloud", "img")),
    ):
        assert image_id in clients.openstack(*argv, "image", "list", "--name", name, env=env), (env, argv)
    for url in (base, f"{base}/v2"):
        env = {"OS_IMAGE_URL": url, "OS_AUTH_TOKEN": "anything"}
        assert image_id in clients.run("glance", "image-list", env=env)
    clients.openstack("image", "delete", image_id)


def test_111_the_list_of_versions_has_v1_and_v2(without_identities: Clients) -> None:
    ids = {one["id"] for one in without_identities.server.get("/versions").json["versions"]}
    assert {"v1.0", "v1.1", "v2.0", "v2.15"} <= ids
