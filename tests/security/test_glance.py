"""Published vulnerabilities of Glance, replayed against a server with static tokens.

The names of tests begin with the row of the threat catalogue. docs/security.md names the tests in other
modules.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import socket
import uuid
from collections.abc import Iterator

import pytest

from tests.security.conftest import StartGuarded
from tests.security.people import Guarded, Person
from tests.support.server import OCTETS, meta
from tests.support.waiting import wait_for

MIB = 1 << 20
BOTH = ("/images", "/v1/images")
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}


def row(guarded: Guarded, image_id: str) -> list[tuple]:
    """Return the image's rows in the database."""
    return [
        *guarded.server.query("SELECT * FROM images WHERE id = ?", image_id),
        *guarded.server.query("SELECT * FROM image_locations WHERE image_id = ?", image_id),
        *guarded.server.query("SELECT name, value FROM image_properties WHERE image_id = ?", image_id),
    ]


def usage(guarded: Guarded, project: str) -> tuple[int, int]:
    """Return the bytes and images that count against a project's quota."""
    found = guarded.server.query("SELECT bytes, images FROM project_usage WHERE project = ?", project)
    return found[0] if found else (0, 0)


def endless(block: bytes = bytes(65536), most: int = 4096) -> Iterator[bytes]:
    yield from itertools.repeat(block, most)


@pytest.mark.parametrize("who", ["attacker", "admin"])
def test_g_01_no_response_contains_a_location(guarded: Guarded, who: str) -> None:
    """A location contains the blob's key. Only its random part is sought, because the rest is the id."""
    image_id = guarded.admin.upload(b"bytes", is_public="True")["id"]
    person: Person = getattr(guarded, who)
    (blob,) = guarded.server.blobs(image_id)
    secret = blob.suffix.removeprefix(".")
    answers = [person.get("/v2/images?limit=1000"), person.get(f"/v2/images/{image_id}")]
    for path in BOTH:
        answers += [person.get(f"{path}/detail"), person.ask("HEAD", f"{path}/{image_id}")]
        answers += [guarded.admin.ask("PUT", f"{path}/{image_id}", meta(name="elsewhere"))]
    change = b'[{"op": "replace", "path": "/name", "value": "elsewhere"}]'
    answers.append(guarded.admin.ask("PATCH", f"/v2/images/{image_id}", PATCH, change))
    answers += [person.get(f"{path}/{image_id}") for path in BOTH]
    for answer in answers:
        told = f"{answer.headers}{answer.text}"
        assert answer.status == 200
        assert image_id in told
        assert secret not in told
        assert '"location' not in told


@pytest.mark.parametrize(
    "location",
    [
        *("file:///etc/passwd", "FILE:///etc/passwd", "file:/etc/passwd", "file://localhost/etc/passwd"),
        *(
            "filesystem:///etc/passwd",
            " file:///etc/passwd",
            "fi%6ce:///etc/passwd",
            "url:file:///etc/passwd",
        ),
        *("jar:file:///x!/y", "netdoc:///etc/passwd", "swift+config://ref1/c/o", "s3://k:s@host/bucket/key"),
        *(
            "s3+https://bucket/key",
            "rbd://x/images/y/snap",
            "cinder://volume",
            "sheepdog://x;reboot",
            "$(id)",
        ),
        *("`id`", "|id", "ftp://host/x", "data:,x", "gopher://host/x", "http+unix://%2fvar%2frun%2fx/"),
    ],
)
@pytest.mark.parametrize("who", ["attacker", "admin"])
def test_g_02_g_14_g_18_g_21_only_external_schemes_are_accepted_as_locations(
    guarded: Guarded, who: str, location: str
) -> None:
    person: Person = getattr(guarded, who)
    for path, header in (
        (BOTH[0], "x-image-meta-location"),
        (BOTH[1], "x-image-meta-location"),
        (BOTH[1], "x-glance-api-copy-from"),
    ):
        image_id = str(uuid.uuid4())
        formats = meta(id=image_id, disk_format="raw", container_format="bare")
        answer = person.ask("POST", path, {**formats, header: location})
        assert answer.status == (400 if who == "admin" else 403), answer.text
        assert b"root:" not in answer.body
        assert person.ask("HEAD", f"/v1/images/{image_id}").status == 404


@pytest.mark.parametrize("path", BOTH)
def test_g_02_a_queued_image_accepts_neither_a_location_nor_two_sources(guarded: Guarded, path: str) -> None:
    image = guarded.attacker.reserve(disk_format="raw", container_format="bare")
    before = row(guarded, image["id"])
    given = {"x-image-meta-location": "file:///etc/passwd"}
    assert guarded.attacker.ask("PUT", f"{path}/{image['id']}", given).status == 403
    both = {**given, "x-glance-api-copy-from": "http://192.0.2.1/x"}
    assert guarded.attacker.ask("PUT", f"{path}/{image['id']}", both).status in (400, 403)
    assert row(guarded, image["id"]) == before


def test_g_04_a_refused_delete_removes_no_bytes(guarded: Guarded) -> None:
    data = b"precious" * 1000
    public, private = guarded.admin.upload(data, is_public="True"), guarded.victim.upload(data)
    shared = guarded.victim.upload(data)
    protected = guarded.victim.upload(data, protected="True")
    for project, can_share in (("A", b"true"), ("F", b"false")):
        body = b'{"member": {"can_share": %s}}' % can_share
        path = f"/v1/images/{shared['id']}/members/{project}"
        given = guarded.victim.ask("PUT", path, {"Content-Type": "application/json"}, body)
        assert given.status == 204
    files = {
        image["id"]: [(path, path.stat().st_mtime_ns) for path in guarded.server.blobs(image["id"])]
        for image in (public, private, shared, protected)
    }
    for path, hides in ((BOTH[0], 403), (BOTH[1], 404), ("/v2/images", 403)):
        for who, image, status in (
            (guarded.attacker, public, 403),
            (guarded.attacker, private, 404),
            (guarded.attacker, shared, hides),
            (guarded.friend, shared, hides),
            (guarded.reader, public, 403),
            (guarded.victim, protected, 403),
            (guarded.admin, protected, 403),
            (guarded.anonymous, public, 401),
            (guarded.anonymous, private, 401),
        ):
            assert who.delete(f"{path}/{image['id']}").status == status, (path, who.project, image)
    for image, found in ((one, files[one["id"]]) for one in (public, private, shared, protected)):
        assert [(path, path.stat().st_mtime_ns) for path in guarded.server.blobs(image["id"])] == found
        assert guarded.admin.get(f"/v1/images/{image['id']}").body == data


FILTERS = (
    *("is_public=True", "is_public=False", "is_public=None", "is_public=none", "is_public=0", "is_public=1"),
    *("is_public=", "deleted=True", "deleted=False", "status=queued", "status=saving", "status=killed"),
    *("status=deleted", "status=pending_delete", "status=active", "owner=V", "owner=", "owner=A"),
    *("member_status=all", "member_status=pending", "visibility=private", "visibility=shared"),
    *("visibility=community", "visibility=all", "changes-since=1970-01-01T00:00:00Z", "property-x=y"),
    *("protected=true", "size_min=0", "size_max=9999999999", "name=secret", "os_hidden=true", "tag=t"),
    *(f"sort_key={key}" for key in ("name", "status", "size", "id", "created_at", "updated_at")),
)


def test_g_05_o_24_no_filter_lists_images_that_the_caller_may_not_see(guarded: Guarded) -> None:
    hidden = {
        guarded.victim.reserve(name="secret", property_x="y")["id"],
        guarded.victim.upload(b"secret", name="secret", protected="True")["id"],
    }
    gone = guarded.victim.reserve(name="secret")["id"]
    assert guarded.victim.delete(f"/v1/images/{gone}").status == 200
    hidden.add(gone)
    pairs = [*((one,) for one in FILTERS), *itertools.islice(itertools.combinations(FILTERS, 2), 0, None, 5)]
    for query in ("&".join(pair) for pair in pairs):
        for who in (guarded.attacker, guarded.reader):
            for path in ("/v1/images/detail", "/v2/images"):
                answer = who.get(f"{path}?{query}&limit=1000")
                assert answer.status in (200, 400), (path, query, answer.text)
                assert not [image_id for image_id in hidden if image_id.encode() in answer.body], query
    for path in ("/v1/images", "/v2/images", "/images"):
        told = [
            guarded.attacker.get(f"{path}?marker={marker}")
            for marker in (next(iter(hidden)), str(uuid.uuid4()))
        ]
        assert [answer.status for answer in told] == [400, 400]
        assert told[0].body == told[1].body


def test_g_06_an_error_of_a_store_contains_only_the_stores_name(guarded: Guarded) -> None:
    for path in BOTH:
        fields = {"disk_format": "raw", "container_format": "bare", "store": "vault"}
        answer = guarded.attacker.ask("POST", path, {**OCTETS, **meta(**fields)}, b"bytes")
        assert (answer.status, answer.headers["Retry-After"] is not None) == (503, True)


@pytest.mark.parametrize(
    ("fields", "body", "status"),
    [
        ({}, MIB + 1, 413),
        ({"size": "5"}, 10, 400),
        ({"size": "50"}, 10, 400),
        ({"checksum": "0" * 32}, 10, 400),
        ({"disk_format": "qcow2"}, 10, 415),
    ],
    ids=["over the cap", "longer than said", "shorter than said", "another checksum", "another format"],
)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_g_12_g_20_a_failed_upload_leaves_no_bytes_and_uses_no_quota(
    capped: Guarded, fields: dict[str, str], body: int, status: int, chunked: bool
) -> None:
    image_id = str(uuid.uuid4())
    before = usage(capped, "A")
    data = bytes(body)
    answer = capped.attacker.try_upload(iter([data]) if chunked else data, id=image_id, **fields)
    assert answer.status == status, answer.text
    assert capped.server.blobs(image_id) == capped.server.leftovers() == []
    found = capped.server.query("SELECT status FROM images WHERE id = ?", image_id)
    assert found in ([], [("killed",)])
    assert usage(capped, "A") == (before[0], before[1] + len(found))


def failed(guarded: Guarded, image_id: str, left: str) -> bool:
    """Return whether the upload has ended and has left the image in this status."""
    rows = guarded.server.query("SELECT status FROM images WHERE id = ?", image_id)
    intended = guarded.server.query("SELECT key FROM image_locations WHERE image_id = ?", image_id)
    return rows == [(left,)] and intended == []


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ("PUT /images/{}", "killed"),
        ("PUT /v1/images/{}", "killed"),
        ("PUT /v2/images/{}/file", "queued"),
        ("PUT /v2/images/{}/stage", "queued"),
    ],
)
@pytest.mark.parametrize("cut", [False, True], ids=["too large", "cut short"])
def test_g_39_a_failed_upload_in_any_dialect_leaves_no_bytes_and_uses_no_quota(
    capped: Guarded, asked: str, left: str, cut: bool
) -> None:
    """r1-E23: in v2, the image is queued again and accepts other bytes.

    An upload of a known length counts against the quota from its beginning, so the count must go back.
    """
    image_id = capped.attacker.reserve(disk_format="raw", container_format="bare")["id"]
    before = usage(capped, "A")
    method, path = asked.format(image_id).split()

    if cut:
        head = f"{asked.format(image_id)} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {capped.attacker.token}\r\n"
        head += f"Content-Type: application/octet-stream\r\nContent-Length: {MIB}\r\n\r\n"
        capped.server.speak(head.encode() + bytes(MIB // 2), hang_up=True)
        wait_for(lambda: failed(capped, image_id, left))
    else:
        answer = capped.attacker.ask(method, path, OCTETS, iter([bytes(MIB), b"one more"]))
        assert answer.status == 413, answer.text
    assert capped.server.blobs(image_id) == capped.server.leftovers() == []
    assert capped.server.query("SELECT key FROM image_locations WHERE image_id = ?", image_id) == []
    assert capped.server.query("SELECT status FROM images WHERE id = ?", image_id) == [(left,)]
    assert usage(capped, "A") == before
    again = capped.attacker.ask(method, path, OCTETS, b"again").status
    assert again == (204 if left == "queued" else 409)


@pytest.fixture(scope="module")
def capped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A server with a size cap of 1 MiB."""
    started = Guarded(tmp_path_factory.mktemp("capped"), {"calotype.image_size_cap": str(MIB)})
    yield started
    started.stop()


def test_g_20_an_endless_upload_ends_at_the_cap(capped: Guarded) -> None:
    image_id = str(uuid.uuid4())
    answer = capped.attacker.try_upload(endless(), id=image_id)
    assert answer.status == 413
    assert capped.server.blobs(image_id) == []


@contextlib.contextmanager
def begun_upload(guarded: Guarded, image_id: str, token: str, size: int) -> Iterator[socket.socket]:
    """Begin an upload of `size` bytes: the first MiB is sent, and the test sends the rest."""
    with socket.create_connection(("127.0.0.1", guarded.server.port), timeout=30) as upload:
        upload.sendall(
            f"PUT /v1/images/{image_id} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n".encode()
        )
        upload.sendall(bytes(MIB))
        yield upload


def test_g_22_deleting_an_image_during_its_upload_frees_no_quota_until_its_bytes_are_removed(
    start_guarded: StartGuarded,
) -> None:
    guarded = start_guarded({"calotype.project_bytes": str(4 * MIB)})
    image_id = guarded.attacker.reserve(disk_format="raw", container_format="bare")["id"]
    with begun_upload(guarded, image_id, guarded.attacker.token, 3 * MIB) as upload:
        wait_for(lambda: usage(guarded, "A")[0] == 3 * MIB)
        assert guarded.attacker.delete(f"/v1/images/{image_id}").status == 200
        refused = guarded.attacker.try_upload(bytes(3 * MIB))
        upload.sendall(bytes(2 * MIB))
        answer = upload.recv(65536)
    assert answer.split()[1] in (b"412", b"410")
    assert refused.status == 413
    wait_for(lambda: usage(guarded, "A")[0] == 0)
    assert guarded.server.blobs() == guarded.server.leftovers() == []
    assert guarded.attacker.upload(bytes(3 * MIB))["size"] == 3 * MIB


@pytest.mark.parametrize("public", ["True", "true", "1", "yes", "on", "t", "TRUE"])
@pytest.mark.parametrize("path", BOTH)
def test_g_16_only_an_admin_can_publish(guarded: Guarded, path: str, public: str) -> None:
    image_id = str(uuid.uuid4())
    refused = guarded.attacker.ask("POST", path, meta(id=image_id, is_public=public))
    assert refused.status == 403
    assert guarded.attacker.ask("HEAD", f"/v1/images/{image_id}").status == 404
    mine = guarded.attacker.reserve()["id"]
    assert guarded.attacker.ask("PUT", f"{path}/{mine}", meta(is_public=public)).status == 403
    assert guarded.attacker.get("/v2/images/" + mine).json["visibility"] == "shared"
    twice = [("x-image-meta-is_public", "False"), ("x-image-meta-is-public", public)]
    assert guarded.attacker.ask("POST", path, twice).status == 400


SERVERS_OWN = {
    "deleted": "True",
    "deleted_at": "1970-01-01T00:00:00",
    "created_at": "1970-01-01T00:00:00",
    "updated_at": "9999-01-01T00:00:00",
    "virtual_size": "1",
    "store": "vault",
    "location": "file:///etc/passwd",
    "owner": "V",
    "uri": "x",
}


@pytest.mark.parametrize("state", ["queued", "active", "deactivated"])
@pytest.mark.parametrize("path", BOTH)
def test_g_26_o_16_h_02_no_header_sets_a_field_of_the_server(guarded: Guarded, path: str, state: str) -> None:
    if state == "queued":
        image = guarded.attacker.reserve(name="mine", disk_format="raw", container_format="bare")
    else:
        image = guarded.attacker.upload(b"bytes", name="mine")
    if state == "deactivated":
        done = guarded.admin.ask("POST", f"/v2/images/{image['id']}/actions/deactivate", {}, b"")
        assert done.status == 204
    before = row(guarded, image["id"])
    where = f"{path}/{image['id']}"
    for status in ("active", "queued", "saving", "killed", "deleted", "deactivated", "pending_delete"):
        answer = guarded.attacker.ask("PUT", where, meta(status=status))
        if path == "/v1/images":
            assert answer.status == (200 if status == state else 403)
    guarded.attacker.ask("PUT", where, meta(id=str(uuid.uuid4())))
    for name, value in SERVERS_OWN.items():
        assert guarded.attacker.ask("PUT", where, meta(**{name: value})).status in (200, 400, 403), name
    if state != "queued":
        for name, value in (("size", "7"), ("checksum", "0" * 32)):
            guarded.attacker.ask("PUT", where, meta(**{name: value}))
    assert without_time(row(guarded, image["id"]), before) == before
    made = guarded.attacker.ask(
        "POST", path, meta(**{k: v for k, v in SERVERS_OWN.items() if k != "location"}, status="active")
    )
    if made.status < 400:
        told = made.json["image"]
        assert (told["status"], told["owner"], told["deleted"]) == ("queued", "A", False)
        assert told["created_at"][:4] not in ("1970", "9999")


def without_time(after: list[tuple], before: list[tuple]) -> list[tuple]:
    """Return the rows after setting the time of change back, so that every update shows."""
    assert len(after) == len(before)
    changed = {
        position for position, pair in enumerate(zip(after[0], before[0], strict=True)) if len(set(pair)) > 1
    }
    assert len(changed) <= 1
    assert all(str(after[0][position]) >= str(before[0][position]) for position in changed)
    return [before[0], *after[1:]]


def test_g_11_v2_lists_a_shared_image_only_after_the_member_accepts_it(guarded: Guarded) -> None:
    image_id = guarded.attacker.reserve(name="pushed")["id"]
    assert guarded.attacker.ask("PUT", f"/v1/images/{image_id}/members/V").status == 204
    assert image_id.encode() not in guarded.victim.get("/v2/images?limit=1000").body
    assert guarded.victim.get(f"/v2/images/{image_id}").json["owner"] == "A"
    accepts = ("PUT", f"/v2/images/{image_id}/members/V", {"Content-Type": "application/json"})
    assert guarded.victim.ask(*accepts, b'{"status": "accepted"}').status == 200
    assert image_id.encode() in guarded.victim.get("/v2/images?limit=1000").body


@pytest.mark.parametrize("count", [129])
def test_g_11_g_30_the_number_of_members_is_limited(guarded: Guarded, count: int) -> None:
    image_id = guarded.attacker.reserve()["id"]
    members = ",".join(f'{{"member_id": "project{number}"}}' for number in range(count))
    body = f'{{"memberships": [{members}]}}'.encode()
    path = f"/v1/images/{image_id}/members"
    answer = guarded.attacker.ask("PUT", path, {"Content-Type": "application/json"}, body)
    assert answer.status == 413
    assert guarded.attacker.get(path).json == {"members": []}


def test_g_30_the_number_of_a_projects_images_is_limited_in_every_dialect(
    start_guarded: StartGuarded,
) -> None:
    guarded = start_guarded({"calotype.project_images": "3"})
    first = [guarded.attacker.reserve()["id"] for _ in range(3)]
    for path, headers, body in (
        ("/images", {}, None),
        ("/v1/images", {}, None),
        ("/images", OCTETS, b"bytes"),
        ("/v2/images", {"Content-Type": "application/json"}, b"{}"),
    ):
        assert guarded.attacker.ask("POST", path, headers, body).status == 413
    assert guarded.victim.reserve()["owner"] == "V"
    assert guarded.attacker.delete(f"/v1/images/{first[0]}").status == 200
    assert guarded.attacker.reserve()["owner"] == "A"
    assert usage(guarded, "A") == (0, 3)


def test_g_37_an_id_is_never_used_again_in_any_spelling(guarded: Guarded) -> None:
    image_id = guarded.admin.reserve(is_public="True")["id"]
    assert guarded.admin.delete(f"/v1/images/{image_id}").status == 200
    spelled = (image_id, image_id.upper())
    odd = (f"{{{image_id}}}", f"urn:uuid:{image_id}", image_id.replace("-", ""))
    for who in (guarded.attacker, guarded.admin):
        for path in BOTH:
            assert [who.ask("POST", path, meta(id=text)).status for text in spelled] == [409, 409]
            assert [who.ask("POST", path, meta(id=text)).status for text in odd] == [400] * 3
        body = f'{{"id": "{image_id}"}}'.encode()
        assert who.ask("POST", "/v2/images", {"Content-Type": "application/json"}, body).status == 409


def test_r_19_bytes_cannot_be_overwritten(guarded: Guarded) -> None:
    image = guarded.attacker.upload(b"first")
    for path, status in (
        (f"/images/{image['id']}", 409),
        (f"/v1/images/{image['id']}", 409),
        (f"/v2/images/{image['id']}/file", 409),
    ):
        assert guarded.attacker.ask("PUT", path, OCTETS, b"other").status == status
    assert guarded.attacker.get(f"/v1/images/{image['id']}").body == b"first"


def test_g_34_an_active_image_cannot_become_queued_again(guarded: Guarded) -> None:
    image_id = guarded.attacker.upload(b"first")["id"]
    before = row(guarded, image_id)
    for change in (
        b'[{"op": "remove", "path": "/locations/0"}]',
        b'[{"op": "replace", "path": "/locations", "value": []}]',
        b'[{"op": "replace", "path": "/status", "value": "queued"}]',
        b'[{"op": "add", "path": "/locations/-", "value": {"url": "filesystem:///etc/passwd"}}]',
    ):
        answer = guarded.attacker.ask("PATCH", f"/v2/images/{image_id}", PATCH, change)
        assert answer.status in (400, 403, 409), (change, answer.text)
        assert row(guarded, image_id) == before
    assert guarded.attacker.get(f"/v1/images/{image_id}").body == b"first"


def test_g_53_an_image_becomes_active_only_with_its_bytes(guarded: Guarded) -> None:
    """In v1, a declared size of 0 without a body is an upload. In the classic dialect it only reserves."""
    declared = {"size": "0", "disk_format": "raw", "container_format": "bare"}
    assert guarded.attacker.try_upload(bytes(MIB), size="0").status == 400
    reserved = guarded.attacker.ask("POST", "/images", meta(**declared)).json["image"]
    assert (reserved["status"], reserved["checksum"]) == ("queued", None)
    assert guarded.attacker.get(f"/images/{reserved['id']}").status == 404
    empty = guarded.attacker.ask("POST", "/v1/images", meta(**declared)).json["image"]
    assert (empty["status"], empty["size"]) == ("active", 0)
    assert empty["checksum"] == hashlib.md5(b"").hexdigest()
    assert len(guarded.server.blobs(empty["id"])) == 1


def test_g_27_an_upload_may_outlast_its_token(guarded: Guarded) -> None:
    text = guarded.tokens.add("mallory", "A", ("member",))
    image_id = guarded.attacker.reserve(disk_format="raw", container_format="bare")["id"]
    with begun_upload(guarded, image_id, text, 2 * MIB) as upload:
        state = "SELECT status FROM images WHERE id = ?"
        wait_for(lambda: guarded.server.query(state, image_id) == [("saving",)])
        assert guarded.tokens.revoke(text.partition(".")[0])
        revoked = Person(guarded.server, "A", text)
        assert revoked.get("/v1/images").status == 401
        upload.sendall(bytes(MIB))
        assert upload.recv(65536).split()[1] == b"200"
    assert guarded.attacker.get(f"/v1/images/{image_id}").body == bytes(2 * MIB)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"])
@pytest.mark.parametrize(
    "path", ["/", "/versions", "/images", "/images/detail", "/v1/images", "/v1/images/detail", "/v2/images"]
)
def test_g_24_every_method_is_served_or_gets_405(guarded: Guarded, path: str, method: str) -> None:
    override = {"X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE"}
    answer = guarded.reader.ask(method, path, override)
    assert answer.status in (200, 201, 300, 403, 405), answer.text
    if answer.status == 405:
        assert answer.headers["Allow"]
        assert "DELETE" not in answer.headers["Allow"]


@pytest.mark.parametrize(
    "request_id",
    [
        *("x" * 65, "req-" + "y" * 9000, "a\x1b[31m", "b%0d%0aX: y", "req-of-mine"),
        "req-12345678-1234-4123-8123-123456789abc",
    ],
)
def test_g_28_a_client_does_not_choose_a_request_id(guarded: Guarded, request_id: str) -> None:
    answer = guarded.attacker.get("/v1/images", {"X-OpenStack-Request-ID": request_id})
    assert answer.headers["x-openstack-request-id"] != request_id or answer.status == 400
    assert request_id not in guarded.server.log
