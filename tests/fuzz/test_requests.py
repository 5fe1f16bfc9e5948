"""Random headers, queries and bodies in every dialect never end in 500.

The application runs in this process, with a real database and the real rights. `make test` tries few
examples; `make fuzz` sets CALOTYPE_FUZZ to a larger number.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyramid.router import Router
from webob import Request, Response

from calotype.app import make_app
from calotype.model.audit import Actor
from calotype.model.fields import new_id
from calotype.model.jobs import JobKind
from calotype.transfers.jobs import JobSpec
from calotype_metadefs import MIGRATIONS
from tests.support.callers import Tokens
from tests.support.workbench import Bench, make_bench, make_database, make_settings

EXAMPLES = int(os.environ.get("CALOTYPE_FUZZ", "60"))
fuzz = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

#: Values that parsers often fail on, or random ones, as bytes.
WIRE = st.one_of(
    st.sampled_from(
        [
            *(b"", b" ", b"0", b"-1", b"+5", b"1_000", b"1e3", b"0x10", b"9" * 5000, b"9223372036854775808"),
            *(
                b"None",
                b"null",
                b"true",
                b"False",
                b"'",
                b"%",
                b"%ff",
                b"%00",
                b"..",
                b"a" * 300,
                b"\xff\xfe",
            ),
            *("\u0663".encode(), b"\xed\xa0\x80", "\u65e5\u672c".encode(), b"\x7f", b"\xc2\x85"),
            *(b"bytes=0-", b"bytes=-0", b"bytes=9-1", b"bytes=0-1,4-5", b"bytes=" + b"9" * 5000 + b"-"),
            *(b"1970-01-01T00:00:00Z", b"0001-01-01", b"9999-12-31T23:59:59+14:00", b"2026-02-30", b"in:a,b"),
            *(b"gt:1", b"neq:", b"in:", b'in:"', b"created_at:desc,", b"{}", b"[" * 2000, b"a" * 9000),
            *(b"http://127.0.0.1/", b"file:///etc/passwd", b"http://[", b"http://h:99999/", b"//", b"*"),
        ]
    ),
    st.binary(max_size=40).map(lambda raw: raw.translate(None, b"\r\n")),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace").translate(None, b"\r\n")),
)
META = (
    *("id", "name", "disk_format", "container_format", "size", "checksum", "is_public", "protected", "owner"),
    *("location", "store", "min_disk", "min_ram", "status", "deleted", "created_at", "updated_at", "type"),
    *(
        "deleted_at",
        "virtual_size",
        "copy_from",
        "uri",
        "property-a",
        "property-",
        "property-\x7f",
        "unknown",
    ),
)
HEADERS = (
    *(f"x-image-meta-{name}" for name in META),
    *("x-glance-api-copy-from", "x-glance-registry-purge-props", "X-Image-Meta-Store", "User-Agent"),
    *("Content-Type", "Content-Encoding", "Accept", "Accept-Language", "Accept-Charset", "Range", "If-Range"),
    *("If-None-Match", "If-Match", "If-Modified-Since", "Cookie", "Authorization", "Host", "Origin"),
    *("X-OpenStack-Image-Size", "X-Auth-Token", "X-Roles", "X-Forwarded-For", "Content-MD5", "Date"),
)
QUERY = (
    *("limit", "marker", "sort_key", "sort_dir", "sort", "name", "status", "size_min", "size_max", "size"),
    *("min_ram", "min_disk", "is_public", "protected", "visibility", "owner", "member_status", "os_hidden"),
    *(
        "changes-since",
        "property-a",
        "property-",
        "created_at",
        "updated_at",
        "tag",
        "id",
        "deleted",
        "checksum",
        "type",
    ),
    *("container_format", "disk_format", "os_hash_value", "checksum", "a", ""),
)
PATHS = (
    *("/", "/versions", "/images", "/images/detail", "/images/ID", "/healthz", "/metrics"),
    *(
        "/v1",
        "/v1/images",
        "/v1/images/detail",
        "/v1/images/ID",
        "/v1/images/ID/file",
        "/v1/images/ID/members",
    ),
    *("/v1/images/ID/members/P", "/v1/shared-images/P"),
    *(
        "/v2",
        "/v2/images",
        "/v2/images/ID",
        "/v2/images/ID/file",
        "/v2/images/ID/stage",
        "/v2/images/ID/import",
    ),
    *("/v2/images/ID/members", "/v2/images/ID/members/P", "/v2/images/ID/tags/T", "/v2/images/ID/tasks"),
    *("/v2/images/ID/actions/deactivate", "/v2/images/ID/actions/reactivate", "/v2/schemas/image"),
    *("/v2/schemas/images", "/v2/info/import", "/v2/info/stores", "/v2/stores/memory/ID", "/v2/tasks"),
    *("/v2/tasks/JOB", "/v2/schemas/task"),
    *("/v2/schemas/metadefs/namespace", "/v2/schemas/metadefs/none"),
)
#: Requests about metadata definitions. NS is an existing namespace with a definition `a` of each kind.
METADEFS = (
    *("/v2/metadefs", "/v2/metadefs/resource_types", "/v2/metadefs/namespaces"),
    *("/v2/metadefs/namespaces/NS", "/v2/metadefs/namespaces/none"),
    *(
        f"/v2/metadefs/namespaces/NS/{kind}{name}"
        for kind in ("objects", "properties", "tags", "resource_types")
        for name in ("", "/a", "/%00", "/x%2Fy")
    ),
)
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
TYPES = (
    *("application/octet-stream", "application/json", "application/json; charset=utf-8", "text/plain", ""),
    "application/openstack-images-v2.1-json-patch",
    "application/openstack-images-v2.0-json-patch",
)
KEYS = st.sampled_from(
    [
        *(
            "id",
            "name",
            "visibility",
            "protected",
            "tags",
            "min_ram",
            "size",
            "owner",
            "disk_format",
            "member",
        ),
        *("status", "memberships", "member_id", "can_share", "method", "uri", "stores", "all_stores"),
        *("type", "input", "import_from", "import_from_format", "image_properties", "import", "raw"),
        *("locations", "op", "path", "value", "properties", "image", "a", "", "__proto__", "~", "/"),
    ]
)
SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), KEYS),
    st.sampled_from(["\ud800", "\0", "x" * 5000, 1e308, 2**70, "/name", "/tags/0", "/a~2b", "add"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
PATCH = st.lists(
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["add", "replace", "remove", "move", "x"]),
            "path": st.sampled_from(
                ["/name", "/tags", "/tags/-", "/a", "/status", "/locations/-", "/", "", "/id"]
            )
            | st.text(max_size=8).map("/".__add__),
        },
        optional={"value": VALUES},
    ),
    max_size=4,
)
TASK = st.fixed_dictionaries(
    {
        "type": st.just("import") | SCALARS,
        "input": st.fixed_dictionaries(
            {
                "import_from": st.sampled_from(["http://127.0.0.1/", "memory:x", "x:", ""]) | SCALARS,
                "import_from_format": st.sampled_from(["raw", "qcow2"]) | SCALARS,
                "image_properties": st.dictionaries(KEYS | st.just("container_format"), SCALARS, max_size=4)
                | VALUES,
            }
        )
        | VALUES,
    }
)
BODIES = st.one_of(
    st.binary(max_size=60),
    TASK.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
    VALUES.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
    PATCH.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [b"[" * 100_000, b"9" * 5000, b"NaN", b'{"a":1,"a":2}', b"1e999", b'"\\ud800"', b"{", b"\xff"]
    ),
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    template = make_database(tmp_path_factory.mktemp("fuzz") / "registry.sqlite", MIGRATIONS)
    with make_bench(template) as made:
        yield made


@pytest.fixture(scope="module")
def app(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Router:
    """An application with an administrator, a member and anonymous callers."""
    tokens = Tokens(tmp_path_factory.mktemp("tokens"))
    settings = make_settings(
        identity="tokens", tokens_file=tokens.path, allow_anonymous=True, external_sources="everyone"
    )
    made = make_app(replace(bench.service, settings=settings))
    made.test_tokens = [
        None,
        tokens.add("a", "A", ("admin",)),
        tokens.add("m", "M", ("member",)),
        tokens.add("r", "M", ("reader",)),
    ]
    return made


def check(answer: Response) -> None:
    """Check that the status is below 500, that JSON can be parsed, and that each header is one line."""
    assert answer.status_int < 500, (answer.status, answer.text)
    assert b"Traceback" not in answer.body
    for name, value in answer.headers.items():
        assert "\r" not in name + value
        assert "\n" not in name + value
        assert "\0" not in value
    if answer.content_type == "application/json" and answer.body:
        json.loads(answer.body)


def ask(app: Router, who: int, method: str, path: str, **given: object) -> Response:
    """Send a request. Half of the time ID is an existing image, of which there is one for each caller."""
    headers = dict(given.pop("headers", {}))
    if app.test_tokens[who] is not None:
        headers.setdefault("X-Auth-Token", app.test_tokens[who])
    request = Request.blank(path, method=method, headers=headers, **given)
    answer = request.get_response(app)
    answer.body  # noqa: B018 - reads a streamed body
    return answer


@pytest.fixture(scope="module")
def ids(app: Router) -> list[str]:
    """The ids of existing images, one of which has bytes, and one unused id."""
    octets = {"Content-Type": "application/octet-stream", "x-image-meta-is_public": "True"}
    formats = {"x-image-meta-disk_format": "raw", "x-image-meta-container_format": "bare"}
    made = [
        ask(app, 1, "POST", "/v1/images", headers={**octets, **formats}, body=b"bytes"),
        ask(app, 1, "POST", "/v1/images", headers={"x-image-meta-is_public": "True"}),
        ask(app, 2, "POST", "/v1/images", headers=formats),
    ]
    return [*(answer.json["image"]["id"] for answer in made), new_id()]


@pytest.fixture(scope="module")
def jobs(bench: Bench, ids: list[str]) -> list[str]:
    """The id of an existing task, and an unused id."""
    with bench.database.unit() as unit:
        order = JobSpec((), asked={}).to_json()
        made = unit.add_job(JobKind.FETCH, unit.image(ids[0]), order, Actor())
    return [made, new_id()]


@fuzz
@given(
    who=st.integers(0, 3),
    method=st.sampled_from(METHODS),
    path=st.sampled_from(PATHS),
    which=st.integers(0, 3),
    query=st.lists(st.tuples(st.sampled_from(QUERY), WIRE), max_size=4),
    headers=st.dictionaries(st.sampled_from(HEADERS), WIRE, max_size=5),
    kind=st.sampled_from(TYPES),
    body=st.none() | BODIES,
)
def test_no_request_ends_in_500(
    app: Router,
    ids: list[str],
    jobs: list[str],
    who: int,
    method: str,
    path: str,
    which: int,
    query: list[tuple[str, bytes]],
    headers: dict[str, bytes],
    kind: str,
    body: bytes | None,
) -> None:
    words = "&".join(f"{name}={quote_from_bytes(value)}" for name, value in query)
    fields = {name: value.decode("latin-1") for name, value in headers.items()}
    given_body = {"body": body} if body is not None and method not in ("GET", "HEAD") else {}
    if kind:
        fields.setdefault("Content-Type", kind)
    where = path.replace("ID", ids[which]).replace("JOB", jobs[which % 2]) + (f"?{words}" if words else "")
    check(ask(app, who, method, where, headers=fields, **given_body))


#: Keys of definitions, with valid or nearly valid values.
DEFINITION = st.dictionaries(
    st.sampled_from(
        [
            *(
                "namespace",
                "display_name",
                "description",
                "visibility",
                "protected",
                "owner",
                "name",
                "prefix",
            ),
            *(
                "properties",
                "objects",
                "tags",
                "resource_type_associations",
                "title",
                "type",
                "enum",
                "items",
            ),
            *(
                "minimum",
                "maxLength",
                "default",
                "required",
                "operators",
                "pattern",
                "created_at",
                "self",
                "a",
            ),
        ]
    ),
    VALUES
    | st.sampled_from(
        ["NS", "a", "b", "", "..", "/", "string", "public", "private", True, False, 5, -1.5, []]
    )
    | st.lists(st.fixed_dictionaries({"name": SCALARS}, optional={"prefix": SCALARS}), max_size=3)
    | st.dictionaries(KEYS, st.fixed_dictionaries({"title": SCALARS, "type": st.just("string")}), max_size=2),
    max_size=4,
)
WHOLE = st.fixed_dictionaries({"namespace": SCALARS}) | st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b"]) | SCALARS, "title": st.just("t"), "type": st.just("string")},
    optional={"enum": VALUES, "default": VALUES, "minimum": SCALARS, "description": SCALARS},
)
FIRST = {
    "namespace": "NS",
    "visibility": "public",
    "objects": [{"name": "a"}],
    "properties": {"a": {"title": "t", "type": "string"}},
    "tags": [{"name": "a"}],
    "resource_type_associations": [{"name": "a", "prefix": "p"}],
}


@settings(fuzz, max_examples=EXAMPLES * 3)
@given(
    who=st.sampled_from([0, 1, 1, 1, 2]),
    method=st.sampled_from(METHODS),
    path=st.sampled_from(METADEFS),
    query=st.lists(st.tuples(st.sampled_from((*QUERY, "resource_types", "resource_type")), WIRE), max_size=2),
    body=st.none()
    | BODIES
    | (DEFINITION | WHOLE).map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
    append=st.sampled_from(["True", "False", "x"]),
)
def test_no_request_about_definitions_ends_in_500(
    app: Router,
    who: int,
    method: str,
    path: str,
    query: list[tuple[str, bytes]],
    body: bytes | None,
    append: str,
) -> None:
    ask(app, 1, "POST", "/v2/metadefs/namespaces", body=json.dumps(FIRST).encode())
    words = "&".join(f"{name}={quote_from_bytes(value)}" for name, value in query)
    given_body = {"body": body} if body is not None and method not in ("GET", "HEAD") else {}
    check(ask(app, who, method, f"{path}?{words}", headers={"X-Openstack-Append": append}, **given_body))
    check(ask(app, 1, "GET", "/v2/metadefs/namespaces/NS"))  # everything that was accepted can be shown
    check(ask(app, 1, "GET", "/v2/metadefs/namespaces?limit=1000"))


@pytest.mark.parametrize(
    "path", ["/images", "/v1/images", "/v2/images", "/v2/tasks", "/v2/metadefs/namespaces"]
)
@pytest.mark.parametrize("name", [*QUERY, "resource_types"])
def test_no_value_of_any_parameter_ends_in_500(app: Router, path: str, name: str) -> None:
    @settings(fuzz, max_examples=max(EXAMPLES // 4, 5))
    @given(value=WIRE, who=st.integers(0, 3))
    def try_it(value: bytes, who: int) -> None:
        check(ask(app, who, "GET", f"{path}?{name}={quote_from_bytes(value)}"))

    try_it()


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("path", ["/images", "/v1/images"])
@pytest.mark.parametrize("name", [name for name in HEADERS if name not in ("X-Auth-Token", "Host")])
def test_no_value_of_any_header_ends_in_500(
    app: Router, ids: list[str], path: str, method: str, name: str
) -> None:
    where = path if method == "POST" else f"{path}/{ids[1]}"

    @settings(fuzz, max_examples=max(EXAMPLES // 6, 5))
    @given(value=WIRE)
    def try_it(value: bytes) -> None:
        check(ask(app, 1, method, where, headers={name: value.decode("latin-1")}))

    try_it()


@fuzz
@given(
    segments=st.lists(
        st.binary(max_size=12) | st.sampled_from([b"..", b"images", b"v1", b"v2", b"@@x"]), max_size=5
    )
)
def test_no_path_ends_in_500(app: Router, segments: list[bytes]) -> None:
    path = "/" + "/".join(quote_from_bytes(segment) for segment in segments)
    for who in (0, 1):
        for method in ("GET", "PUT"):
            check(ask(app, who, method, path))
