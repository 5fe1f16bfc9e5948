"""Published vulnerabilities of other OpenStack services (O) and comparable registries (R), replayed here."""

from __future__ import annotations

import ast
import itertools
import re
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from calotype.model import policy
from core.tests.transfers.test_inspection import qcow2
from tests.security.conftest import StartGuarded
from tests.security.people import Guarded, Person
from tests.security.spoken import Spoken
from tests.security.test_keystone import FORGED, SPELLINGS
from tests.security.writes import Write
from tests.support.answers import statuses
from tests.support.server import OCTETS, ROOT, meta
from tests.support.waiting import wait_for
from tests.support.web import Web, reply

JSON = {"Content-Type": "application/json"}
LISTS = ("/images", "/images/detail", "/v1/images", "/v1/images/detail", "/v2/images")


@pytest.mark.parametrize("forged", SPELLINGS, ids=["-", "_", "upper", "lower"])
def test_o_01_r_37_identity_headers_of_a_client_have_no_effect(
    guarded: Guarded, forged: dict[str, str]
) -> None:
    for path in LISTS:
        assert guarded.anonymous.ask("GET", path, forged).status == 401
    answer = guarded.attacker.ask("POST", "/v1/images", {**forged, **meta(name="x")})
    assert answer.status == 400 or answer.json["image"]["owner"] == "A"
    twice = [*FORGED.items(), *((name.lower(), "other") for name in FORGED)]
    assert guarded.anonymous.ask("GET", "/v1/images", twice).status in (400, 401)
    assert guarded.reader.ask("POST", "/v1/images", forged).status == 403


def test_o_02_under_load_no_caller_gets_anothers_identity(guarded: Guarded) -> None:
    people = [
        Person(guarded.server, f"P{number}", guarded.tokens.add(f"u{number}", f"P{number}", ("member",)))
        for number in range(12)
    ]
    wrong: list[tuple[str, str]] = []

    def work(person: Person) -> None:
        for _ in range(8):
            owner = person.reserve()["owner"]
            if owner != person.project:
                wrong.append((owner, person.project))

    threads = [threading.Thread(target=work, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_o_02_requests_that_wait_for_their_bodies_keep_their_callers(guarded: Guarded) -> None:
    """The service needs the caller again when the first bytes have arrived."""
    people = (guarded.attacker, guarded.victim, guarded.friend)
    upload = Write(("", "", ""), "POST", "/images", policy.CREATE, OCTETS, b"bytes")
    waiting = [
        Spoken(guarded.server.port, upload, upload.path, {**OCTETS, "X-Auth-Token": str(person.token)})
        for person in people
    ]
    assert [one.held for one in waiting] == [True] * 3
    assert [one.finish(b"bytes") for one in waiting] == [200] * 3
    owners = [re.findall(r'"owner": "(\w+)"', one.said.decode()) for one in waiting]
    assert owners == [[person.project] for person in people]


@pytest.mark.parametrize(
    "token",
    [
        *("", " ", "x", "x" * 60_000, "0" * 12 + "." + "x" * 43, "0" * 12 + ".", "\u00e9", "a.b.c"),
        *("' OR 1=1 --", "VALIDx", "VALID x", "xVALID"),
    ],
    ids=[
        *("empty", "blank", "short", "60 KB", "well-formed", "cut", "Latin-1", "dots"),
        *("SQL", "valid and more", "valid and a word", "more and valid"),
    ],
)
def test_o_05_an_invalid_token_is_401_and_logs_no_error(guarded: Guarded, token: str) -> None:
    before = guarded.server.log.count("ERROR")
    token = token.replace("VALID", str(guarded.reader.token))
    for path in LISTS:
        answer = guarded.server.request("GET", path, {"X-Auth-Token": token.encode("latin-1")})
        assert answer.status in (401, 400 if len(token) > 50_000 else 401)
    assert guarded.server.log.count("ERROR") == before


def test_o_05_two_tokens_in_one_request_are_401(guarded: Guarded) -> None:
    both = [("X-Auth-Token", guarded.admin.token), ("X-Auth-Token", guarded.attacker.token)]
    assert guarded.server.request("GET", "/v1/images", both).status in (400, 401)


def test_o_07_o_12_the_challenge_of_a_401_is_a_constant(guarded: Guarded) -> None:
    for token in ("x", 'x" realm="evil', "evil.example"):
        answer = guarded.server.request("GET", "/v1/images", {"X-Auth-Token": token})
        assert answer.headers["WWW-Authenticate"] == 'X-Auth-Token realm="calotype"'


@pytest.mark.parametrize("path", ["/images", "/v1/images"])
def test_o_14_h_14_limits_apply_to_the_sum_of_many_changes(guarded: Guarded, path: str) -> None:
    image_id = guarded.attacker.reserve()["id"]
    keep = {"x-glance-registry-purge-props": "false"}
    for number in range(7):
        ten = meta(**{f"property_p{number}x{one}": "v" for one in range(10)})
        assert guarded.attacker.ask("PUT", f"{path}/{image_id}", {**ten, **keep}).status == 200
    one_more = {**meta(property_more="v"), **keep}
    assert guarded.attacker.ask("PUT", f"{path}/{image_id}", one_more).status == 413
    heavy = guarded.attacker.reserve()["id"]
    answers = [
        guarded.attacker.ask(
            "PUT", f"{path}/{heavy}", {**meta(**{f"property_p{n}": "v" * 65536}), **keep}
        ).status
        for n in range(5)
    ]
    assert answers == [200] * 3 + [413, 413]


def test_o_14_the_limit_of_tags_applies_when_they_are_added_one_by_one(guarded: Guarded) -> None:
    image_id = guarded.attacker.reserve()["id"]
    tags = ",".join(f'"t{number}"' for number in range(128)).encode()
    patch = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    change = b'[{"op": "replace", "path": "/tags", "value": [%s]}]' % tags
    assert guarded.attacker.ask("PATCH", f"/v2/images/{image_id}", patch, change).status == 200
    assert guarded.attacker.ask("PUT", f"/v2/images/{image_id}/tags/more").status == 413


def test_o_19_r_23_control_headers_of_a_client_have_no_effect(guarded: Guarded) -> None:
    attacker = guarded.attacker
    assert attacker.ask("POST", "/v1/images", {"x-image-meta-foo": "1"}).status == 400
    ignored = attacker.ask("POST", "/images", {"x-image-meta-foo": "1"})
    assert (ignored.status, ignored.json["image"]["properties"]) == (200, {})
    plain = without_id_and_times(attacker.reserve())
    for name in ("x-glance-internal", "X-Object-Manifest", "X-Copy-From", "x-amz-copy-source", "X-Sendfile"):
        answer = attacker.ask("POST", "/v1/images", {name: "/etc/passwd"})
        assert answer.status == 201
        assert without_id_and_times(answer.json["image"]) == plain
        assert attacker.ask("POST", "/v1/images", {name: "true", **meta(is_public="True")}).status == 403
    for name in ("X-Accel-Redirect", "X-Forwarded-For", "X-Original-URL", "X-Rewrite-URL"):
        answer = guarded.anonymous.ask("GET", "/v1/images", {name: "/healthz"})
        assert answer.status == 401


def without_id_and_times(image: Mapping[str, object]) -> dict[str, object]:
    """Return the fields of an image that are equal for two images of the same request."""
    return {name: value for name, value in image.items() if name not in ("id", "created_at", "updated_at")}


@pytest.mark.parametrize(
    ("size", "declared", "problem"),
    [(1 << 62, "qcow2", "would have more than"), (1 << 20, "raw", "is declared as raw, but it is qcow2")],
    ids=["huge", "declared raw"],
)
def test_o_21_o_22_a_dangerous_qcow2_is_refused(
    guarded: Guarded, size: int, declared: str, problem: str
) -> None:
    answer = guarded.attacker.try_upload(qcow2(size=size), disk_format=declared)
    assert (answer.status, problem in answer.text) == (415, True)


def test_o_23_a_wrong_checksum_is_refused_and_a_source_gets_no_credentials(
    start_guarded: StartGuarded,
) -> None:
    with Web() as source:
        source.page = reply(body=b"bytes")
        settings = {
            "calotype.stores": "file vault http",
            "calotype.external_sources": "everyone",
            "store.http.allowed_networks": "127.0.0.1/32",
            "store.http.ports": str(source.port),
        }
        guarded = start_guarded(settings, level="WARNING")
        attacker = guarded.attacker
        wrong = meta(checksum="0" * 32, disk_format="raw", container_format="bare")
        assert attacker.try_upload(b"bytes", checksum="0" * 32).status == 400
        copied = attacker.ask("POST", "/v1/images", {**wrong, "x-glance-api-copy-from": source.url()})
        path = f"/v2/images/{copied.json['image']['id']}"
        wait_for(lambda: attacker.get(path).json["status"], lambda status: status == "killed")
        sent = str(source.requests)
    assert "X-Auth-Token" not in sent
    assert [secret for secret in guarded.secrets if secret in sent] == []


def test_o_24_a_request_changes_only_the_image_in_its_path(guarded: Guarded) -> None:
    mine, other = guarded.attacker.reserve()["id"], guarded.victim.reserve()["id"]
    assert guarded.victim.ask("PUT", f"/v1/images/{other}/members/F").status == 204
    assert guarded.attacker.delete(f"/v1/images/{mine}/members/F").status == 404
    assert guarded.attacker.get(f"/v1/images/{other}/members").status == 404
    shared = guarded.friend.get("/v1/shared-images/F").json["shared_images"]
    assert other in {one["image_id"] for one in shared}
    assert other not in guarded.attacker.get("/v1/shared-images/F").text


def test_o_25_requests_without_a_token_leave_no_record(guarded: Guarded) -> None:
    tables = ("images", "image_locations", "image_members", "image_properties", "jobs", "project_usage")
    count = [f"SELECT count(*) FROM {table}" for table in tables]
    before = [guarded.server.query(statement) for statement in count]
    files = len(guarded.server.blobs())
    for path in ("/images", "/v1/images", "/v2/images"):
        for headers, body in (
            (meta(name="x"), None),
            (OCTETS, b"bytes"),
            (JSON, b"{}"),
            (OCTETS, iter([b"x"])),
        ):
            assert guarded.anonymous.ask("POST", path, headers, body).status == 401
    assert [guarded.server.query(statement) for statement in count] == before
    assert len(guarded.server.blobs()) == files
    assert guarded.server.leftovers() == []


@pytest.mark.parametrize("path", ["/images", "/v1/images", f"/v2/images/{uuid.UUID(int=7)}/file"])
@pytest.mark.parametrize("token", [None, "wrong", "reader"])
def test_w_16_an_upload_without_the_right_is_refused_before_its_body_is_read(
    guarded: Guarded, path: str, token: str | None
) -> None:
    text = guarded.reader.token if token == "reader" else token
    line = f"X-Auth-Token: {text}\r\n" if text else ""
    method = "PUT" if path.endswith("file") else "POST"
    with socket.create_connection(("127.0.0.1", guarded.server.port), timeout=15) as connection:
        connection.sendall(
            f"{method} {path} HTTP/1.1\r\nHost: x\r\n{line}Content-Type: application/octet-stream\r\n"
            f"Content-Length: {200 << 20}\r\n\r\n".encode()
        )
        (status,) = statuses(connection.recv(65536))
    assert status == (404 if method == "PUT" else 403) if token == "reader" else status == 401


def test_o_26_no_response_is_an_html_page(guarded: Guarded) -> None:
    script = "<script>alert(1)</script>"
    image_id = guarded.attacker.upload(script.encode(), name=script, property_x=script)["id"]
    for path in (
        *("/", "/images/detail", "/v1/images/detail", "/v2/images", f"/v2/images/{image_id}"),
        *(f"{place}/{script}" for place in ("", "/images", "/v1/images", "/v2/images")),
        *(f"/{place}?limit={script}" for place in ("images", "v1/images", "v2/images")),
    ):
        answer = guarded.attacker.get(path.replace("<", "%3C").replace(">", "%3E"))
        assert answer.headers["Content-Type"].partition(";")[0] in ("application/json", "text/plain"), path
    for path in ("/images/{}", "/v1/images/{}", "/v1/images/{}/file", "/v2/images/{}/file"):
        answer = guarded.attacker.get(path.format(image_id))
        assert answer.body == script.encode()
        assert answer.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    "path",
    [
        *(
            "//v1/images",
            "/v1//images",
            "/V1/images",
            "/v1/images;x",
            "/v1/%69mages",
            "/v1/images?",
            "/v1/images/",
        ),
        *(
            "/./v1/images",
            "/x/../v1/images",
            "/v1/images#x",
            "/v1%2fimages",
            "/v1/images%00",
            "/%76%31/images",
        ),
        *("//images", "/images;a=b", "/images/.", "/v2//images", "/v2.0/images", "/@@index/images"),
    ],
)
def test_r_10_no_spelling_of_a_path_bypasses_authentication(guarded: Guarded, path: str) -> None:
    guarded.victim.reserve(name="behind-the-door")
    answer = guarded.anonymous.get(path)
    assert answer.status in (400, 401, 404)
    assert b"behind-the-door" not in answer.body
    spoken = guarded.server.speak(
        f"GET http://x{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    )
    assert statuses(spoken)[0] in (400, 401, 404)


@pytest.mark.parametrize(
    "query",
    [
        *("sort_key=created_at;--", "sort_key=1", "sort_dir=asc,(select%201)", "sort_key=location"),
        *("name='%20OR%201=1--", "property-a'b=x", "name=%25", "name=_", "property-x=%25", "status='"),
        *("sort_key=store", "location=x", "store=file", "locations=x", "sort=locations:asc", "checksum=%25"),
    ],
)
def test_r_12_a_query_is_never_executed_as_sql(guarded: Guarded, query: str) -> None:
    guarded.attacker.reserve(name="plain", property_x="y")
    for path in ("/v1/images/detail", "/v2/images"):
        answer = guarded.attacker.get(f"{path}?{query}")
        assert answer.status in (200, 400), answer.text
        if answer.status == 200 and query.startswith(("name", "property")):
            assert answer.json["images"] == []


def test_r_20_a_revoked_token_is_401_within_a_second(guarded: Guarded) -> None:
    text = guarded.tokens.add("tim", "T", ("member",))
    person = Person(guarded.server, "T", text)
    assert person.get("/v1/images").status == 200
    assert guarded.tokens.revoke(text.partition(".")[0])
    assert person.get("/v1/images").status == 401


def test_r_30_only_configured_stores_can_be_named(guarded: Guarded) -> None:
    for store in ("other", "../file", "file/../vault", "s3", "images"):
        assert guarded.attacker.try_upload(b"bytes", store=store).status == 400


def test_w_24_r_39_no_header_takes_long_to_parse(guarded: Guarded) -> None:
    paths = ("/v1/images", f"/v1/images/{guarded.attacker.upload(b'bytes')['id']}")
    long = (",".join(["a/b;q=0.1"] * 3000), "," * 30_000, '"' * 30_000, ";=" * 15_000, "a" * 30_000)
    names = ("Accept", "Accept-Language", "Accept-Encoding", "Cookie", "Range", "If-Range", "If-Match")
    for value in (*long, "bytes=" + " " * 150_000 + "x"):
        for name, path in itertools.product((*names, "If-None-Match", "If-Modified-Since"), paths):
            began = time.monotonic()
            assert guarded.attacker.get(path, {name: value}).status < 500
            assert time.monotonic() - began < 5, (name, value[:20])


def test_r_40_no_label_of_a_metric_comes_from_a_client(start_guarded: StartGuarded) -> None:
    guarded = start_guarded({"calotype.metrics": "true"}, level="WARNING")
    for number in range(20):
        guarded.attacker.ask(f"CANARY{number}", f"/CANARY{number}")
        guarded.attacker.try_upload(b"x", store=f"CANARY{number}")
    told = guarded.server.get("/metrics")
    assert told.status == 200
    assert "CANARY" not in told.text


#: Folders whose modules may open connections: egress, and those that get no URL from a client.
_WAYS_OUT = (
    *("core/src/calotype/egress", "core/src/calotype/testing"),
    *("plugins/store_s3", "plugins/store_swift"),
)


def test_g_49_only_egress_opens_connections() -> None:
    doors = {"socket", "urllib.request", "http.client", "requests", "urllib3", "httpx", "ftplib", "boto3"}
    found = [
        (path, name)
        for path in sources()
        if not path.is_relative_to(ROOT / "server")
        if not any(path.is_relative_to(ROOT / folder) for folder in _WAYS_OUT)
        for name in imports(path)
        if name in doors or name.partition(".")[0] in {"requests", "urllib3", "httpx", "boto3"}
    ]
    assert found == []


def test_g_49_only_one_function_gives_a_clients_uri_to_a_store() -> None:
    found = {path.name for path in sources() if ".external(" in path.read_text()}
    assert found == {"imports.py"}


#: Modules that may do what others may not. One calls C functions, to configure the C library to keep little
#: memory. Others start processes: at a start, for serving, and at a reload. No request reaches them.
_ALLOWED = {
    "ctypes": {"server/src/calotype_server/process.py"},
    "subprocess": {"server/src/calotype_server/reload.py"},
    "os.fork": {"server/src/calotype_server/forking.py", "core/src/calotype/starting.py"},
    "os.execve": {"server/src/calotype_server/reload.py"},
}
#: Functions of the module os that start a process.
_STARTS = re.compile(r"(exec|spawn|posix_spawn|fork|popen|system|startfile)")


def test_g_14_g_19_g_33_no_code_starts_a_process_or_evaluates_text() -> None:
    """r1-E23: the test reads the source. tests/security/test_no_process.py checks a running server."""
    forbidden = {"ctypes", "subprocess", "pickle", "marshal", "shelve", "pty", "commands", "xml"}
    forbidden |= {"multiprocessing", "_posixsubprocess", "yaml", "dill", "cloudpickle", "joblib"}
    calls = {"eval", "exec", "system", "popen", "compile_command"}
    for path in sources():
        if "testing" in path.parts:
            continue
        names = {name.partition(".")[0] for name in imports(path)}
        tree = ast.parse(path.read_text())
        called = {
            getattr(node.func, "id", None) or (f"{getattr(node.func.value, 'id', '')}.{node.func.attr}")
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute))
        }
        allowed = {name for name, places in _ALLOWED.items() if str(path.relative_to(ROOT)) in places}
        started = {name for name in called if name.startswith("os.") and _STARTS.match(name[3:])}
        assert not (names & forbidden | started) - allowed, path
        assert not called & {*calls, "os.system", "os.popen", "yaml.load"}, path


def sources() -> list[Path]:
    """Return the modules of the core, the server and the plugins."""
    folders = (ROOT / "core/src", ROOT / "server/src", *ROOT.glob("plugins/*/src"))
    return [path for folder in folders for path in folder.rglob("*.py")]


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names
