"""No request starts a process, as an audit hook in the server's own process shows."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.security.audited import Audit
from tests.security.people import Guarded
from tests.support.server import OCTETS, meta
from tests.support.waiting import wait_for

JSON = {"Content-Type": "application/json"}
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
#: Text that a shell would execute, in every kind of quotes.
SHELL = (
    "; touch x",
    "$(touch x)",
    "`touch x`",
    "| touch x",
    "x\ntouch x",
    "' ; touch x '",
    '" & touch x "',
    "-rf",
)
SCHEMES = (
    "file",
    "http",
    "https",
    "s3",
    "s3+https",
    "swift",
    "swift+config",
    "sheepdog",
    "rbd",
    "filesystem",
    "vmware",
)
QCOW2 = b"QFI\xfb\0\0\0\3" + bytes(1016)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Guarded, Audit]]:
    folder = tmp_path_factory.mktemp("watched")
    audit = Audit(folder / "audit")
    stores = {
        "calotype.stores": "file vault http",
        "calotype.metrics": "true",
        "calotype.external_sources": "everyone",
        "store.http.allowed_networks": "127.0.0.1/32",
    }
    guarded = Guarded(folder, stores, env=audit.env, level="WARNING")
    yield guarded, audit
    guarded.stop()


def test_the_audit_hook_is_active_and_the_start_starts_no_process(watched: tuple[Guarded, Audit]) -> None:
    """The hook must have seen the call that configures the C library, and nothing else."""
    _, audit = watched
    events = audit.begin()
    assert [line for line in events if line.startswith("ctypes.dlopen ")] != []
    assert [line for line in events if line.startswith(("os.fork", "subprocess", "fork_exec"))] == []


@pytest.mark.parametrize("text", SHELL, ids=range(len(SHELL)))
def test_g_14_no_text_of_a_client_starts_a_process(watched: tuple[Guarded, Audit], text: str) -> None:
    """r1-E23: the hook sees subprocess, os, pty, multiprocessing and ctypes."""
    guarded, audit = watched
    audit.begin()
    admin, line = guarded.admin, text.replace("\n", "%0A")
    formats = meta(disk_format="raw", container_format="bare")
    for scheme in SCHEMES:
        location = f"{scheme}://127.0.0.1:1/{line}"
        for path in ("/images", "/v1/images"):
            admin.ask("POST", path, {**formats, "x-image-meta-location": location})
            admin.ask("POST", path, {**formats, "x-glance-api-copy-from": location})
    for path in ("/images", "/v1/images"):
        for name in ("name", "store", "id", "property-x", "disk_format", "owner", "checksum"):
            admin.ask("POST", path, {**OCTETS, **formats, f"x-image-meta-{name}": line}, b"bytes")
    made = admin.ask("POST", "/v2/images", JSON, json.dumps({"name": text, "os_distro": text}).encode())
    for path in ("/images/{}", "/v1/images/{}", "/v2/images/{}", "/v2/images/{}/file", "/v2/tasks/{}"):
        admin.get(path.format(quote(text)))
    if made.status == 201:
        image_id = made.json["id"]
        change = [{"op": "add", "path": "/command", "value": text}]
        admin.ask("PATCH", f"/v2/images/{image_id}", PATCH, json.dumps(change).encode())
        admin.ask("PUT", f"/v2/images/{image_id}/tags/{quote(text)}")
    assert audit.events() == []


def test_g_14_g_33_no_verb_starts_a_process(watched: tuple[Guarded, Audit]) -> None:
    """The verbs are an inspected upload, a download, imports, metrics and a delete."""
    guarded, audit = watched
    audit.begin()
    admin = guarded.admin
    image_id = admin.upload(b"bytes", name="whole")["id"]
    assert admin.get(f"/v2/images/{image_id}/file").body == b"bytes"
    assert admin.try_upload(QCOW2, disk_format="qcow2").status in (201, 400, 415)
    queued = admin.reserve(disk_format="raw", container_format="bare")["id"]
    assert admin.ask("PUT", f"/v2/images/{queued}/stage", OCTETS, b"bytes").status == 204
    direct = {"method": {"name": "glance-direct"}}
    assert admin.ask("POST", f"/v2/images/{queued}/import", JSON, json.dumps(direct).encode()).status == 202
    wait_for(lambda: admin.get(f"/v2/images/{queued}").json["status"] == "active", seconds=30)
    web = {"method": {"name": "web-download", "uri": "http://127.0.0.1:1/$(touch x)"}}
    waiting = admin.reserve(disk_format="raw", container_format="bare")["id"]
    admin.ask("POST", f"/v2/images/{waiting}/import", JSON, json.dumps(web).encode())
    for path in ("/metrics", "/readyz", "/v2/info/stores", "/v2/schemas/image", f"/{uuid.uuid4()}"):
        admin.get(path)
    assert admin.delete(f"/v2/images/{image_id}").status == 204
    assert audit.events() == []
