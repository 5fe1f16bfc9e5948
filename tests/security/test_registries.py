"""Published vulnerabilities of comparable registries and object stores (R), replayed over a socket.

`test_neighbours` replays those that other OpenStack services have, too.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from urllib.parse import quote, urlencode

import pytest

from calotype.database.tables import ImageRow, LocationRow
from tests.conftest import StartServer
from tests.security.conftest import StartGuarded
from tests.security.people import Guarded
from tests.security.test_keystone import SPELLINGS
from tests.security.test_neighbours import LISTS
from tests.security.writes import JSON, OCTETS, PATCH
from tests.support.answers import statuses
from tests.support.server import ROOT, meta
from tests.support.v2 import RAW
from tests.support.waiting import wait_for
from tests.support.web import Web, reply

MIB = 1 << 20


def test_r_02_a_huge_limit_of_a_client_is_refused_or_capped(start_guarded: StartGuarded) -> None:
    guarded = start_guarded({"calotype.list_limit": "3"}, level="WARNING")
    for _ in range(5):
        guarded.admin.reserve(is_public="True")
    for path in LISTS:
        assert len(guarded.attacker.get(f"{path}?limit={10**17}").json["images"]) == 3
        for limit in (str(10**18), "-1", "1_0", "\u0661\u0660", "1e3", "0x10", "9" * 5000, " 1"):
            answer = guarded.attacker.get(f"{path}?limit={quote(limit)}")
            assert answer.status == 400, (path, limit[:20])


def test_r_26_an_announced_size_allocates_no_memory(start_guarded: StartGuarded) -> None:
    """The test measures the address space, because pages that nobody has written to are not resident."""
    guarded = start_guarded(level="WARNING")
    guarded.attacker.upload(bytes(MIB))
    before = guarded.server.memory("VmPeak")
    for framing in (
        f"Content-Length: {2048 * MIB}\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n80000000\r\n",
    ):
        lines = {"X-Auth-Token": guarded.attacker.token, **OCTETS, **meta(**RAW, size=str(2048 * MIB))}
        head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "x", **lines}.items())
        sent = f"POST /v1/images HTTP/1.1\r\n{head}{framing}".encode() + bytes(MIB)
        assert statuses(guarded.server.speak(sent, hang_up=True)) == [400]
    assert guarded.server.memory("VmPeak") - before < 1024 * MIB


#: The columns that a client may filter by in some dialect, and those that it may sort by.
FILTERS = {
    *("id", "name", "status", "visibility", "protected", "owner", "disk_format", "container_format", "size"),
    *("min_disk", "min_ram", "os_hidden", "virtual_size", "checksum", "os_hash_algo", "os_hash_value"),
    *("created_at", "updated_at"),
}
SORT_KEYS = {
    *("container_format", "created_at", "disk_format", "id", "name", "size", "status", "updated_at"),
}


def test_r_13_neither_a_filter_nor_a_sort_key_reveals_a_hidden_column(guarded: Guarded) -> None:
    image = guarded.admin.upload(uuid.uuid4().bytes, is_public="True")
    guarded.server.execute("UPDATE images SET status_reason = 'hidden' WHERE id = ?", image["id"])
    columns = {"images": ImageRow.__table__.c, "image_locations": LocationRow.__table__.c}
    for table, names in ((table, set(columns[table].keys())) for table in columns):
        for name in sorted(names - SORT_KEYS):
            for path in ("/v1/images", "/v2/images"):
                assert guarded.attacker.get(f"{path}?sort_key={name}").status == 400, name
            assert guarded.attacker.get(f"/v2/images?sort={name}").status == 400, name
        for name in sorted(names - FILTERS):
            key = "id" if table == "images" else "image_id"
            ((real,),) = guarded.server.query(f'SELECT "{name}" FROM {table} WHERE {key} = ?', image["id"])
            for path in ("/images/detail", "/v1/images/detail", "/v2/images"):
                right, wrong = (
                    guarded.attacker.listed(urlencode({name: value, "limit": 1000}), path)
                    for value in (real, "other")
                )
                assert right == wrong, (path, name)


def readable_paths(image_id: str) -> list[str]:
    """Return the path of every GET request that the page on requests lists, except the endless stream."""
    page = (ROOT / "docs/requests.md").read_text()
    paths = re.findall(r"^\| `GET` \| `(/[^`]*)` \|", page, re.MULTILINE)
    paths.remove("/events")
    schemas = [("schemas/NAME", "schemas/image"), ("schemas/metadefs/NAME", "schemas/metadefs/namespace")]
    schemas.append(("assets/NAME", "assets/console.css"))
    for old, new in (("/ID", f"/{image_id}"), *schemas):
        paths = [path.replace(old, new) for path in paths]
    return paths


def test_r_16_no_resource_contains_the_configuration_or_the_environment(start_guarded: StartGuarded) -> None:
    """Every response to these callers is searched for the secrets of the configuration."""
    guarded = start_guarded({"calotype.metrics": "true"})
    image_id = guarded.admin.upload(b"bytes")["id"]
    for project in ("A", "PROJECT"):
        assert guarded.admin.ask("PUT", f"/v1/images/{image_id}/members/{project}").status == 204
    named = [{"name": "NAME"}]
    defined = {"namespace": "NAMESPACE", "objects": named, "tags": named}
    defined["properties"] = {"NAME": {"title": "t", "type": "string"}}
    body = json.dumps(defined).encode()
    assert guarded.admin.ask("POST", "/v2/metadefs/namespaces", JSON, body).status == 201
    answers = {path: guarded.admin.get(path).status for path in readable_paths(image_id)}
    assert len(answers) > 40
    # The image has no task, and no open upload session.
    missing = {path for path in answers if answers[path] not in (200, 300, 303)}
    assert missing == {f"/v2/tasks/{image_id}", f"/uploads/{image_id}"}
    for path in answers:
        assert guarded.attacker.get(path).status < 500
        assert guarded.anonymous.get(path).status < 500


def test_r_18_neither_equal_bytes_nor_a_checksum_give_access_to_the_bytes_of_another(
    guarded: Guarded,
) -> None:
    data = uuid.uuid4().bytes * 100
    victims, mine = guarded.victim.upload(data), guarded.attacker.upload(data)
    (first,), (second,) = (guarded.server.blobs(image["id"]) for image in (victims, mine))
    assert first.stat().st_ino != second.stat().st_ino
    assert guarded.attacker.delete(f"/v1/images/{mine['id']}").status == 200
    assert guarded.victim.get(f"/v1/images/{victims['id']}").body == data
    named = guarded.attacker.reserve(**RAW, checksum=victims["checksum"], size=str(len(data)))
    assert named["status"] == "queued"
    assert guarded.attacker.get(f"/v1/images/{named['id']}/file").status == 404
    assert guarded.attacker.try_upload(b"other bytes", checksum=victims["checksum"]).status == 400


@pytest.mark.parametrize("text", ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\0b", "a\x85b"])
def test_r_28_a_property_that_would_forge_a_header_is_refused_in_every_dialect(
    guarded: Guarded, text: str
) -> None:
    image_id = guarded.attacker.reserve(name="before")["id"]
    # A client of v1 that says that it is glanceclient encodes its headers.
    client = {"User-Agent": "python-glanceclient", "x-image-meta-property-note": quote(text)}
    document, patch = {"note": text}, [{"op": "add", "path": "/note", "value": text}]
    for method, path, headers, body in (
        ("POST", "/v1/images", client, None),
        ("PUT", f"/v1/images/{image_id}", client, None),
        ("POST", "/v1/images", JSON, {"image": {"name": "n", "properties": document}}),
        ("PUT", f"/v1/images/{image_id}", JSON, {"image": {"properties": document}}),
        ("POST", "/v2/images", JSON, document),
        ("PATCH", f"/v2/images/{image_id}", PATCH, patch),
    ):
        answer = guarded.attacker.ask(method, path, headers, body and json.dumps(body).encode())
        assert answer.status == 400, (method, path, headers)
        assert "control characters" in answer.text
    for path in (f"/images/{image_id}", f"/v1/images/{image_id}"):
        shown = guarded.attacker.ask("HEAD", path).headers
        assert not {"X-Evil", "x-image-meta-property-note"} & set(shown)


def test_r_31_digests_are_computed_and_never_believed(start_guarded: StartGuarded) -> None:
    data, false = uuid.uuid4().bytes * 100, "0" * 32
    page = reply(body=data, ETag=f'"{false}"', Content_MD5=false, X_Image_Meta_Checksum=false)
    with Web({"/": page}) as web:
        guarded = start_guarded(
            {
                "calotype.stores": "file vault http",
                "calotype.external_sources": "everyone",
                "store.http.allowed_networks": "127.0.0.0/8",
                "store.http.ports": str(web.port),
            },
            level="WARNING",
        )
        who = guarded.attacker
        copied, registered = (
            who.ask("POST", "/v1/images", {header: web.url(), **meta(**RAW, **declared)}).json["image"]["id"]
            for header, declared in (
                ("x-glance-api-copy-from", {}),
                ("x-image-meta-location", {"checksum": false}),
            )
        )
        assert who.try_upload(data, checksum=false).status == 400
        documents = [
            wait_for(
                lambda path=f"/v2/images/{one}": who.get(path).json, lambda image: image["status"] == "active"
            )
            for one in (copied, registered)
        ]
    computed = (hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest())
    assert [(image["checksum"], image["os_hash_value"]) for image in documents] == [computed, (None, None)]


@pytest.mark.parametrize("forged", SPELLINGS, ids=["-", "_", "upper", "lower"])
def test_r_37_identity_headers_without_the_filter_have_no_effect(
    start_server: StartServer, forged: dict[str, str]
) -> None:
    """No Keystone is needed: the filter, which would ask it, is missing.

    A domain or the system in the headers would take the rights away that the others give.
    """
    server = start_server({"calotype.identity": "keystone"})
    strongest = {
        name: value
        for name, value in forged.items()
        if not {"domain", "system"} & set(name.lower().replace("_", "-").split("-"))
    }
    assert len(strongest) == len(forged) - 2
    for headers in (strongest, forged):
        for path in LISTS:
            assert server.get(path, headers).status == 401
        for path in ("/images", "/v1/images", "/v2/images"):
            assert server.post(path, {**JSON, **headers}, b'{"name": "forged"}').status == 401


#: Header values that cost more than their length in a careless parser.
COSTLY = (
    ",".join(["a/b;q=0.1"] * 3000),
    *("," * 30_000, '"' * 30_000, ";=" * 15_000),
    "bytes=" + " " * 200_000 + "x",
    "bytes=" + "0-1," * 15_000,
)


def test_r_39_headers_of_separators_cost_little_time_and_memory(start_guarded: StartGuarded) -> None:
    guarded = start_guarded(level="WARNING")
    path = f"/v1/images/{guarded.attacker.upload(b'bytes')['id']}"
    before = guarded.server.memory()
    for name in (
        "Accept",
        "Accept-Language",
        "Accept-Encoding",
        "Cookie",
        "Range",
        "If-Range",
        "If-None-Match",
    ):
        for value in COSTLY:
            began = time.monotonic()
            assert guarded.attacker.get(path, {name: value}).status < 500
            assert time.monotonic() - began < 5, (name, value[:20])
    endless = b"GET /v1/images HTTP/1.1\r\nHost: x\r\nAccept: " + b"a/b," * (4 * MIB)
    assert statuses(guarded.server.speak(endless)) in ([400], [431])
    assert guarded.server.memory() - before < 50 * MIB
