"""Mistakes of clients: every dialect says what is wrong, quotes the value, and names a remedy."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.functional.test_logs import access_line, request_id
from tests.support.answers import Answer
from tests.support.server import OCTETS, Server, meta

BYTES_WANTED = "Cannot convert size to an integer: it is a number of bytes in digits, not '5GB'."
NO_STORE = "There is no store 'fiel'; use one of: file."
TAKES_NONE = "Store 'http' takes no uploads; use one of: file."
FORMATS = {"disk_format": "raw", "container_format": "bare"}
JSON = {"Content-Type": "application/json"}
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
CLASSIC, V1, V2 = "/images", "/v1/images", "/v2/images"


def ask(server: Server, method: str, path: str, document: object, headers: dict[str, str]) -> Answer:
    return server.request(method, path, headers, json.dumps(document).encode())


@pytest.mark.parametrize("path", [f"{CLASSIC}/{{}}", f"{V1}/{{}}", f"{V2}/{{}}/file", f"{V2}/{{}}/stage"])
def test_the_access_log_counts_the_bytes_that_arrived(server: Server, path: str) -> None:
    """An interrupted upload is not logged with the announced length."""
    path, sent = path.format(server.reserve(**FORMATS)["id"]), 1 << 20
    head = (
        f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
        f"Content-Length: {4 << 20}\r\n\r\n"
    )
    server.speak(head.encode() + bytes(sent), hang_up=True)
    (line,) = server.log_lines(f'path="{path}"')
    assert f" status=400 in={sent} " in line


def test_the_access_log_counts_chunks_but_no_unread_bytes(server: Server) -> None:
    chunked = server.post(CLASSIC, OCTETS, iter([b"eleven", b" byte"]))
    assert access_line(server, chunked)["in"] == "11"
    refused = server.post(CLASSIC, {**OCTETS, **meta(type="nonsense")}, b"eleven byte")
    assert (refused.status, access_line(server, refused)["in"]) == (400, "0")


def upload(server: Server, asked: str, image_id: str) -> Answer:
    method, path = asked.format(image_id).split()
    return server.request(method, path, OCTETS, b"others")


@pytest.mark.parametrize("asked", ["PUT /images/{}", "PUT /v1/images/{}", "PUT /v2/images/{}/file"])
@pytest.mark.parametrize(
    ("status", "cure"),
    [
        ("killed", "; create a new one."),
        ("active", "; its bytes never change, so create a new one."),
        ("saving", "; wait until its upload has ended, or create a new one."),
        ("uploading", "; import the bytes that were staged, or create a new one."),
        ("importing", "; wait until its import has ended, or create a new one."),
        ("deactivated", "; its bytes never change, so create a new one."),
    ],
)
def test_an_upload_in_the_wrong_status_gets_the_status_and_a_remedy(
    server: Server, asked: str, status: str, cure: str
) -> None:
    image_id = server.reserve(**FORMATS)["id"]
    server.execute(f"UPDATE images SET status = '{status}' WHERE id = ?", image_id)
    refused = upload(server, asked, image_id)
    text = refused.text if asked.startswith("PUT /images") else refused.json["error"]["message"]
    assert (refused.status, text) == (
        409,
        f"Cannot upload to an unqueued image. This image is {status}{cure}",
    )


@pytest.mark.parametrize(
    ("asked", "document", "status", "told"),
    [
        (
            "PUT {}/stage",
            None,
            "killed",
            "can be given bytes. This image is killed; create a new one.",
        ),
        (
            "POST {}/import",
            {"method": {"name": "glance-direct"}},
            "queued",
            "can be imported by glance-direct. This image is queued; stage its bytes first.",
        ),
        (
            "POST {}/import",
            {"method": {"name": "glance-direct"}},
            "active",
            "This image is active; its bytes never change, so create a new one.",
        ),
        (
            "POST {}/import",
            {"method": {"name": "copy-image"}},
            "killed",
            "can be copied. This image is killed.",
        ),
    ],
)
def test_staging_and_importing_in_the_wrong_status_get_the_status_and_a_remedy(
    server: Server, asked: str, document: object, status: str, told: str
) -> None:
    image_id = server.reserve(**FORMATS)["id"]
    server.execute(f"UPDATE images SET status = '{status}' WHERE id = ?", image_id)
    method, path = asked.format(f"{V2}/{image_id}").split()
    body = b"bytes" if document is None else json.dumps(document).encode()
    refused = server.request(method, path, OCTETS if document is None else JSON, body)
    assert refused.status == 409
    assert told in refused.json["error"]["message"]


def test_a_download_without_bytes_is_refused_with_the_status(server: Server) -> None:
    image_id = server.reserve(**FORMATS)["id"]
    for path in (CLASSIC, V1):
        refused = server.get(f"{path}/{image_id}")
        assert (refused.status, "Its status is queued." in refused.text) == (404, True)


@pytest.mark.parametrize(
    ("path", "headers", "told"),
    [
        (
            CLASSIC,
            meta(size="5GB"),
            BYTES_WANTED,
        ),
        (
            V1,
            meta(size="5GB"),
            BYTES_WANTED,
        ),
        (CLASSIC, meta(min_ram="1G"), "it is a number of MiB in digits, not '1G'."),
        (V1, meta(min_disk="ten"), "it is a number of GiB in digits, not 'ten'."),
        (CLASSIC, meta(disk_format="foo"), "Invalid disk format 'foo' for image; one of: ami, "),
        (V1, meta(container_format="foo"), "Invalid container format 'foo' for image; one of: "),
        (CLASSIC, meta(type="foo"), "Invalid type: 'foo'; one of: kernel, machine, ramdisk, raw."),
        (CLASSIC, {**OCTETS, **meta(store="fiel")}, NO_STORE),
        (V1, {**OCTETS, **meta(store="fiel", **FORMATS)}, NO_STORE),
        (CLASSIC, meta(store="fiel"), NO_STORE),
        (V1, meta(store="fiel"), NO_STORE),
        (CLASSIC, meta(store="http"), TAKES_NONE),
        (V1, meta(store="http"), TAKES_NONE),
        (V1, meta(nmae="x"), "Bad header: x-image-meta-nmae (did you mean name?); metadata of your own is "),
        (CLASSIC, meta(min_disk="2147483648"), "2147483648 is out of range, which is 0 to 2147483647."),
        (V1, meta(disk_format="aki", container_format="bare"), "aki, ari or ami, both must be the same."),
        (V1, OCTETS, "Disk format is not specified. Set disk_format, because"),
        (CLASSIC, JSON, "is an image's bytes; it is 'application/json'."),
    ],
)
def test_the_error_for_an_invalid_header_says_what_is_valid(
    server: Server, path: str, headers: dict[str, str], told: str
) -> None:
    refused = server.post(path, headers, b"bytes" if "Content-Type" in headers else None)
    assert (refused.status, told in refused.text) == (400, True), refused.text


@pytest.mark.parametrize("path", [CLASSIC, V1])
@pytest.mark.parametrize(("store", "told"), [("fiel", NO_STORE), ("http", TAKES_NONE)])
def test_an_unknown_or_read_only_store_is_refused_even_if_the_request_has_no_body(
    server: Server, path: str, store: str, told: str
) -> None:
    """The store used to be forgotten, and the bytes went into the default store later."""
    image_id = str(uuid.uuid4())
    made = server.post(path, meta(id=image_id, store=store))
    assert (made.status, told in made.text) == (400, True), made.text
    assert server.query("SELECT id FROM images WHERE id = ?", image_id) == []
    reserved = server.reserve(name="kept")["id"]
    changed = server.put(f"{path}/{reserved}", meta(name="lost", store=store))
    assert (changed.status, told in changed.text) == (400, True), changed.text
    assert server.head(f"{CLASSIC}/{reserved}").meta["name"] == "kept"


@pytest.mark.parametrize("path", [CLASSIC, V1])
def test_a_location_of_another_store_than_the_named_one_is_refused(server: Server, path: str) -> None:
    fields = meta(location="http://192.0.2.1/disk.raw", **FORMATS)
    unknown = server.post(path, {**fields, **meta(store="fiel")})
    assert (unknown.status, "There is no store 'fiel'" in unknown.text) == (400, True), unknown.text
    other = server.post(path, {**fields, **meta(store="file")})
    told = "The location belongs to store 'http', not to store 'file'"
    assert (other.status, told in other.text) == (400, True), other.text


def test_the_store_of_an_image_may_be_sent_back(server: Server) -> None:
    image_id = server.upload(b"bytes")["id"]
    server.execute("UPDATE image_locations SET store = 'gone' WHERE image_id = ?", image_id)
    for path in (CLASSIC, V1):
        assert server.put(f"{path}/{image_id}", meta(name="other", store="gone")).status == 200


def test_an_import_into_an_unknown_or_read_only_store_is_a_conflict(server: Server) -> None:
    image_id = server.reserve(**FORMATS)["id"]
    assert server.put(f"{V2}/{image_id}/stage", OCTETS, b"bytes").status == 204
    for store, told in (("fiel", NO_STORE), ("http", TAKES_NONE)):
        order = {"method": {"name": "glance-direct"}, "stores": [store]}
        refused = ask(server, "POST", f"{V2}/{image_id}/import", order, JSON)
        assert (refused.status, refused.json["error"]["message"]) == (409, told)
    uploaded = server.upload(b"bytes")["id"]
    refused = server.delete(f"/v2/stores/fiel/{uploaded}")
    assert refused.status == 409
    assert "There is no store 'fiel'; use one of: file, http." in refused.text


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (f"{CLASSIC}?limit=ten", "limit param must be an integer, and positive, not 'ten'."),
        (f"{V1}?limit=ten", "limit param must be an integer, and positive, not 'ten'."),
        (f"{V1}?size_min=5GB", "got 5GB: it is a number of bytes in digits."),
        (f"{V1}?sort_key=foo", "Unsupported sort_key: 'foo'; one of: container_format, "),
        (f"{V1}?sort_dir=up", "Unsupported sort_dir: 'up'; one of: asc, desc."),
        (f"{V1}?is_public=maybe", "got maybe; one of: true, 1, false, 0, none."),
        (f"{V1}?changes-since=now", "'now' is not an ISO 8601 time"),
        (f"{V2}?limit=ten", "Invalid limit: it must be an integer of at least 0, not 'ten'."),
        (f"{V2}?sort=name&sort_key=name", "but not by both."),
        (f"{V2}?size_min=5GB", "Invalid filter size_min: it is a number of bytes in digits, not '5GB'."),
        (f"{V2}?sort_key=foo", "Invalid sort key: 'foo'; one of: container_format, "),
        (f"{V2}?sort=name:up", "Invalid sort direction: 'up'; one of: asc, desc."),
        (f"{V2}?visibility=foo", "Invalid visibility: 'foo'; one of: "),
        (f"{V2}?member_status=foo", "Invalid member_status: 'foo'; one of: "),
        (f"{V2}?created_at=now", "'now' is not an ISO 8601 time"),
        (f"{V2}?name=gt:x", "Invalid operator of the filter name: 'gt'; one of: in, eq."),
        ("/v2/tasks?status=foo", "Invalid status: 'foo'; one of: "),
        ("/v2/audit?verb=foo", "Invalid verb: 'foo'; one of: "),
        ("/v2/metadefs/namespaces?sort_key=foo", "'foo'; one of: "),
    ],
)
def test_an_invalid_parameter_is_quoted_with_the_valid_values(server: Server, path: str, told: str) -> None:
    refused = server.get(path)
    assert (refused.status, told in refused.text) == (400, True), refused.text


@pytest.mark.parametrize(
    ("path", "document", "told"),
    [
        (V2, {"disk_format": "foo"}, "Invalid value for disk_format: 'foo'; one of: null, ami, "),
        (V2, {"visibility": "foo"}, "Invalid value for visibility: 'foo'; one of: community, private, "),
        (V2, {"min_disk": "5GB"}, "the schema asks for type integer, not '5GB'."),
        (V2, {"min_ram": -1}, "the schema asks for minimum 0, not -1."),
        (V2, {"name": []}, "the schema asks for type null or string, not an array."),
        (V2, {"os_shares": 5}, "the schema asks for type string, not 5."),
        (f"{V2}/ID/import", {"stores": []}, "Invalid value for import: method must be given."),
        (f"{V2}/ID/import", {"method": {"name": "foo"}}, "'foo'; one of: glance-direct, "),
        ("/v2/metadefs/namespaces", {"namespace": "n", "visibility": "foo"}, "'foo'; one of: "),
        (V1, {"image": {"disk_format": "foo"}}, "Invalid disk format 'foo' for image; one of: ami, "),
        (V1, {"image": {"size": "5GB"}}, "it is a number of bytes in digits, not '5GB'."),
    ],
)
def test_an_invalid_value_of_a_document_is_quoted_with_the_valid_values(
    server: Server, path: str, document: object, told: str
) -> None:
    if "/ID/" in path:
        path = path.replace("ID", server.reserve(**FORMATS)["id"])
    refused = ask(server, "POST", path, document, JSON)
    assert (refused.status, told in refused.json["error"]["message"]) == (400, True), refused.text


@pytest.mark.parametrize("path", [CLASSIC, V1, V2])
def test_a_huge_limit_is_accepted(server: Server, path: str) -> None:
    assert server.get(f"{path}?limit=99999999999999").status == 200


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the body is empty, and must be a JSON document."),
        (b'{"name": }', "Expecting value (line 1, column 10)."),
        (b"name=x", "Expecting value (line 1, column 1)."),
        (b'{"name": "\xff"}', "not a JSON document in UTF-8."),
    ],
)
def test_a_malformed_document_is_refused_with_its_place(server: Server, body: bytes, told: str) -> None:
    refused = server.post(V2, JSON, body)
    message = refused.json["error"]["message"]
    assert (refused.status, message.startswith("Malformed JSON: "), told in message) == (400, True, True)


@pytest.mark.parametrize(
    ("asked", "document", "status", "told"),
    [
        ("POST {}/members", {"member": "p"}, 403, "This image is private; set visibility to shared first."),
        (
            "PATCH {}",
            [{"op": "remove", "path": "/name"}],
            403,
            "cannot be removed, because every image has it.",
        ),
        ("PATCH {}", [{"op": "replace", "path": "/id", "value": "x"}], 403, "cannot be changed or removed."),
        ("PATCH {}", [{"op": "replace", "path": "/os", "value": "x"}], 409, "does not exist. Use add."),
        ("DELETE {}", None, 403, "is protected and cannot be deleted. Set protected to false first."),
    ],
)
def test_a_change_that_the_image_forbids_is_refused_with_a_remedy(
    server: Server, asked: str, document: object, status: int, told: str
) -> None:
    method, path = asked.format(f"{V2}/{server.reserve(protected='true')['id']}").split()
    body = None if document is None else json.dumps(document).encode()
    refused = server.request(method, path, PATCH if method == "PATCH" else JSON, body)
    assert (refused.status, told in refused.json["error"]["message"]) == (status, True), refused.text


def test_a_taken_id_and_a_missing_list_of_members_get_a_remedy(server: Server) -> None:
    image_id = server.reserve()["id"]
    for path in (CLASSIC, V1):
        taken = server.post(path, meta(id=image_id))
        assert (taken.status, "Use another id, or none." in taken.text) == (409, True)
    refused = ask(server, "PUT", f"{V1}/{image_id}/members", {}, JSON)
    assert (refused.status, 'Send {"memberships": [' in refused.json["error"]["message"]) == (400, True)


def test_an_invalid_upload_size_and_patch_operation_are_quoted(server: Server) -> None:
    path = f"{V2}/{server.reserve(**FORMATS)['id']}"
    sized = server.put(f"{path}/file", {**OCTETS, "X-OpenStack-Image-Size": "5GB"}, b"bytes")
    assert (sized.status, "it is a number of bytes in digits, not '5GB'." in sized.text) == (400, True)
    patched = ask(server, "PATCH", path, [{"op": "test", "path": "/name", "value": ""}], PATCH)
    assert (patched.status, "'test'; one of: add, replace, remove." in patched.text) == (400, True)


def test_an_unknown_name_of_the_classic_api_is_ignored_and_logged(server: Server) -> None:
    """A client may send back the headers that it was shown."""
    made = server.post(CLASSIC, meta(nmae="mine", status="active", checksum="x", uri="x"))
    assert (made.status, made.image["name"]) == (200, None)
    (line,) = [line for line in server.log_lines(request_id(made)) if "ignored" in line]
    assert " INFO " in line
    assert "the header x-image-meta-nmae is unknown and ignored (did you mean name?)" in line
    quiet = server.post(CLASSIC, meta(name="mine", status="active", owner="me", property_nmae="x"))
    assert not [line for line in server.log_lines(request_id(quiet)) if "ignored" in line]
