"""Expensive requests of up to 1 MiB, each the worst of its kind that we know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_MIB = 1 << 20
_HEAD = 250_000
_JSON = {"Content-Type": "application/json"}
_PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}


@dataclass(frozen=True)
class Attack:
    """A costly request. If `listed` is true, its cost comes from the long list in its response."""

    name: str
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    listed: bool = False


@dataclass(frozen=True)
class Targets:
    """The targets of requests: the ids of an active and a queued image, and a namespace."""

    active: str
    queued: str
    namespace: str


def all_attacks(targets: Targets) -> Iterator[Attack]:
    """Yield every request. Each is built only when it is needed, because many are large."""
    yield from _queries(targets)
    yield from _heads(targets)
    yield from _documents(targets)
    yield from _patches(targets)
    yield from _definitions(targets)
    yield from _lists()


def _get(name: str, path: str, **headers: str) -> Attack:
    return Attack(name, "GET", path, {name.replace("_", "-"): text for name, text in headers.items()})


def _post(name: str, path: str, document: Any, method: str = "POST") -> Attack:
    body = document if isinstance(document, bytes) else json.dumps(document, separators=(",", ":")).encode()
    return Attack(name, method, path, _JSON, body)


def _repeated(text: str, size: int) -> str:
    return (text * (size // len(text) + 1))[:size]


def _queries(targets: Targets) -> Iterator[Attack]:
    marked = f"/v2/images?marker={targets.active}"
    yield _get("100 sort keys, all name", f"{marked}&sort={','.join(['name:asc'] * 100)}")
    yield _get("7,000 sort keys, all name", f"{marked}&sort={','.join(['name:asc'] * 7000)}")
    yield _get("200 parameters sort_key", f"{marked}{'&sort_key=name' * 200}&sort_dir=asc")
    keys = "status,container_format,disk_format,size,name,updated_at,created_at,id"
    yield _get("all 8 sort keys", f"{marked}&sort={keys}")
    filters = [f"property{number}=value" for number in range(31)]
    yield _get("31 filters by property", f"{marked}&{'&'.join(filters)}")
    yield _get("31 filters by tag", f"{marked}&{'&'.join(f'tag=t{number}' for number in range(31))}")
    filters = [f"property{number}=value" for number in range(200)]
    yield _get("200 filters by property", f"{marked}&{'&'.join(filters)}")
    for count in (31, 200):
        filters = [f"property-{number}=value" for number in range(count)]
        path = f"/v1/images?marker={targets.active}&{'&'.join(filters)}"
        yield _get(f"v1: {count} filters by property", path)
    yield _get("1,000 names", f"{marked}&name=in:{','.join(f'name{number}' for number in range(1000))}")
    yield _get("30,000 names", f"/v2/images?name=in:{_repeated('a,', 60_000)}a")
    types = _repeated("a,", 60_000)
    yield _get("30,000 resource types", f"/v2/metadefs/namespaces?resource_types={types}a")
    yield _get("18,000 parameters", f"/v2/images?{'protected=true&' * 9000}{'x=&' * 9000}")
    yield _get("256 parameters", f"/v2/images?{'&'.join(['limit=1'] * 256)}")
    yield _get("20,000 percent signs", f"/v2/images?x={'%41' * 20_000}")
    yield _get("80,000 percent signs", f"/v2/images?x={'%41' * 80_000}")
    yield _get("v1: 80,000 percent signs", f"/v1/images?x={'%41' * 80_000}")


def _heads(targets: Targets) -> Iterator[Attack]:
    file = f"/v2/images/{targets.active}/file"
    yield _get("a path of 120,000 segments", "/v2" + "/a" * 120_000)
    yield _get("a path of 4,096 bytes", f"/v2/images/{targets.active}/tags/".ljust(4096, "a"))
    yield _get("a Range of 100,000 blanks", file, Range="bytes=" + " " * 100_000 + "x")
    yield _get("40,000 ranges", file, Range="bytes=" + ",".join(["0-1"] * 60_000))
    yield _get("60,000 entity tags", file, If_None_Match=",".join(['"a"'] * 60_000))
    yield _get("entity tags with backslashes", file, If_None_Match='"' + '\\"' * 120_000)
    yield _get("a cookie of 250 KB", file, Cookie="a=b; " * 50_000)
    yield _get("a token of 250 KB", file, X_Auth_Token="a" * _HEAD)
    meta = {f"x-image-meta-property-{number}": "v" * 900 for number in range(250)}
    yield Attack("classic: 250 properties", "POST", "/images", meta)
    yield Attack("v1: 250 properties", "POST", "/v1/images", meta)
    escaped = {f"x-image-meta-property-{number}": "%41" * 1000 for number in range(80)}
    yield Attack(
        "v1: 80,000 percent signs in headers",
        "POST",
        "/v1/images",
        {"User-Agent": "python-glanceclient", **escaped},
    )


def _documents(targets: Targets) -> Iterator[Attack]:
    yield _post("JSON: 340,000 tags that are numbers", "/v2/images", {"tags": [1] * 340_000})
    yield _post("JSON: 40,000 tags that are numbers", "/v2/images", {"tags": [1] * 40_000})
    yield _post("JSON: 90,000 equal tags", "/v2/images", {"tags": ["a"] * 90_000})
    yield _post("JSON: 80,000 keys", "/v2/images", {f"k{number}": "" for number in range(80_000)})
    yield _post("JSON: 49,000 keys", "/v2/images", {f"k{number}": "" for number in range(49_000)})
    yield _post("JSON: 500,000 numbers", "/v2/images", b"[" + b",".join([b"1"] * 500_000) + b"]")
    yield _post("JSON: 350,000 empty objects", "/v2/images", b"[" + b",".join([b"{}"] * 340_000) + b"]")
    yield _post("JSON: 24,000 empty objects", "/v2/images", b"[" + b",".join([b"{}"] * 24_000) + b"]")
    yield _post("JSON: 500,000 brackets", "/v2/images", b"[" * 500_000)
    yield _post("JSON: 49,000 brackets", "/v2/images", b"[" * 49_000)
    yield _post(
        "JSON: 300 numbers of 3,400 digits", "/v2/images", b"[" + b",".join([b"1" * 3400] * 300) + b"]"
    )
    yield _post("JSON: a property of 1 MB", "/v2/images", {"description": "a" * 1_000_000})
    yield _post(
        "v1 JSON: 49,000 properties", "/v1/images", {"properties": {f"k{n}": 1 for n in range(49_000)}}
    )
    order = {"method": {"name": "web-download", "uri": "http://127.0.0.1/"}}
    path = f"/v2/images/{targets.queued}/import"
    yield _post("import into 90,000 stores", path, {**order, "stores": ["a"] * 90_000})
    yield _post("import into 49,000 stores", path, {**order, "stores": ["a"] * 49_000})
    yield _post("import into 40,000 numbers", path, {**order, "stores": [1] * 40_000})
    path = f"/v1/images/{targets.queued}/members"
    for count in (22_000, 16_000):
        members = [{"member_id": "project", "can_share": True}] * count
        yield _post(f"v1: one member {count:,} times", path, {"memberships": members}, "PUT")
    members = [{"member_id": f"project{number}"} for number in range(24_000)]
    yield _post("v1: 24,000 members", path, {"memberships": members}, "PUT")
    yield _post("v1: 128 members", path, {"memberships": members[:128]}, "PUT")
    image = {f"k{number}": "" for number in range(49_000)}
    asked = {"import_from": "http://127.0.0.1/", "import_from_format": "raw", "image_properties": image}
    yield _post("a task with 49,000 properties", "/v2/tasks", {"type": "import", "input": asked})


def _patches(targets: Targets) -> Iterator[Attack]:
    def patch(name: str, changes: list[dict[str, Any]]) -> Attack:
        body = json.dumps(changes, separators=(",", ":")).encode()
        return Attack(name, "PATCH", f"/v2/images/{targets.queued}", _PATCH, body)

    tags = [f"t{number}" for number in range(128)]
    replace = {"op": "replace", "path": "/tags", "value": tags}
    yield patch("PATCH: 128 tags 700 times", [replace] * 700)
    yield patch("PATCH: 128 tags 370 times", [replace] * 370)
    yield patch("PATCH: no tags 1,000 times", [{**replace, "value": []}] * 1000)
    yield patch("PATCH: 1,000 properties", [_add(f"k{number}", "v" * 900) for number in range(1000)])
    yield patch("PATCH: a property 1,000 times", [_add("k", "v" * 900)] * 1000)
    yield patch("PATCH: a path of 900,000 slashes", [_add("/" * 900_000, "v")])
    yield patch("PATCH: a path of 900,000 tildes", [_add("~0" * 450_000, "v")])


def _add(name: str, value: str) -> dict[str, Any]:
    return {"op": "add", "path": f"/{name}", "value": value}


def _definitions(targets: Targets) -> Iterator[Attack]:
    path = "/v2/metadefs/namespaces"
    one = {"title": "", "type": "string"}

    def namespace(name: str, **contents: Any) -> Attack:
        title = name.replace(" ", "-").replace(",", "")
        return _post(f"metadefs: {name}", path, {"namespace": title, **contents})

    yield namespace("20,000 properties", properties={f"p{number}": one for number in range(20_000)})
    yield namespace("1,000 properties", properties={f"p{number}": one for number in range(1000)})
    for count in (20, 15):
        few = {f"p{number}": one for number in range(count)}
        objects = [{"name": f"o{number}", "properties": few} for number in range(1000)]
        yield namespace(f"1,000 objects of {count} properties", objects=objects)
    yield namespace(
        "1,000 resource types", resource_type_associations=[{"name": f"r{n}"} for n in range(990)]
    )
    yield namespace("1,000 tags", tags=[{"name": f"{n}" + "t" * 240} for n in range(1000)])
    yield namespace("30,000 tags", tags=[{"name": f"{n}"} for n in range(30_000)])
    required = {"p": {**one, "required": [f"{number}" for number in range(90_000)]}}
    yield namespace("90,000 required properties", properties=required)
    required = {"p": {**one, "required": [{}, "a", []] * 10_000}}
    yield namespace("30,000 required entries of mixed types", properties=required)
    required = {"p": {**one, "required": [{}, "a", []] * 333}}
    yield namespace("999 required entries of mixed types", properties=required)
    yield namespace("an enumeration of 90,000", properties={"p": {**one, "enum": ["a"] * 90_000}})
    yield namespace("an enumeration of 49,000", properties={"p": {**one, "enum": ["a"] * 49_000}})
    path = f"{path}/{targets.namespace}/objects"
    full = {
        "name": "full",
        "properties": {f"p{number}": {**one, "title": "t" * 900} for number in range(1000)},
    }
    yield _post("metadefs: an object of 1 MB", path, full)
    yield _post("metadefs: one more object for a full namespace", path, {"name": "more"})


def _lists() -> Iterator[Attack]:
    for path in ("/v2/images", "/v1/images/detail", "/images/detail", "/images", "/"):
        yield Attack(f"{path}: 300 images of 30 KB", "GET", f"{path}?limit=1000", listed=True)
