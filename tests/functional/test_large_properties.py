"""Properties that fit into JSON but not into headers: headers show those that fit, and none is lost."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.functional.test_names import JSON, PATCH, RAW, make, properties_of
from tests.support.answers import Answer
from tests.support.server import Server

PREFIX = "x-image-meta-property-"
OMITTED = "x-calotype-properties-omitted"
PURGE = {"x-glance-registry-purge-props": "true"}
KIB = 1024

#: A text and its repetitions; some are longer in UTF-8 or JSON, or look like JSON.
Value = tuple[str, int]
VALUES = st.tuples(
    st.sampled_from(["v", "é", "\N{PENGUIN}", '"', "[,{"]),
    st.sampled_from([1, 100, 1000, 2000, 3999, 4001, 8001, 16_384]),
)
NAMES = st.from_regex(r"[a-d][A-B]?[-_]?[0-9]", fullmatch=True)


def texts(values: dict[str, Value]) -> dict[str, str]:
    """Return the properties with these values."""
    return {name: text * times for name, (text, times) in values.items()}


def fits(values: dict[str, Value]) -> bool:
    """Return whether an image can have all of these properties."""
    return sum(len(name) + len(value.encode()) for name, value in texts(values).items()) <= 256 * KIB


def shown(answer: Answer) -> dict[str, str]:
    """Return the properties in a response's headers, with their spelling there."""
    assert answer.status == 200, answer.text
    return {
        name.removeprefix("property-"): value
        for name, value in answer.meta.items()
        if name.startswith("property-")
    }


def sent(properties: dict[str, str]) -> dict[str, bytes]:
    """Return headers with these properties in the same spelling."""
    return {f"{PREFIX}{name}": value.encode() for name, value in properties.items()}


@given(values=st.dictionaries(NAMES, VALUES, max_size=14).filter(fits), kept=st.sets(st.integers(0, 13)))
@example(values={f"a{n}": ("v", 65_000) for n in range(4)} | {"b": ("v", 1)}, kept=set())
@example(values={f"a{n}": ("v", 7000) for n in range(9)}, kept={0, 1})
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_r1_g2_properties_that_v1_did_not_show_are_kept_by_its_purge(
    server: Server, values: dict[str, Value], kept: set[int]
) -> None:
    """r1-G2: this holds for any properties set through v2. A purge removes only properties that v1 showed."""
    properties = texts(values)
    image_id = make(server, **properties)
    path = f"/v1/images/{image_id}"
    seen = server.head(path)
    told = shown(seen)
    assert int(seen.headers.get(OMITTED, "0")) == len(properties) - len(told)
    lines = [len(name) + 2 + len(value) for name, value in seen.headers.items()]  # as on the wire: latin-1
    assert (max(lines) < 8192, sum(lines) < 40_000) == (True, True)
    assert (shown(server.head(f"/images/{image_id}")) == told) is True

    spelled = dict(item for number, item in enumerate(sorted(told.items())) if number in kept)
    changed = server.request("PUT", f"/images/{image_id}", sent(spelled))
    assert changed.status == 200
    assert (changed.json["image"]["properties"] == properties) is True

    purged = server.request("PUT", path, {**PURGE, **sent({**spelled, "new": "n"})})
    assert purged.status == 200
    after = properties_of(server, image_id, {*properties, "new"})
    assert (after == purged.json["image"]["properties"]) is True
    assert after.pop("new") == "n"
    assert (after.items() <= properties.items()) is True
    assert len(after) == len(properties) - len(told) + len(spelled)


def test_r1_g2_json_can_set_64_kib_per_property_and_256_kib_per_image(server: Server) -> None:
    """r1-G2: the limits hold for any characters and commas, in v2 and v1. One byte more is 413."""
    whole = {f"p{number}": text * (64 * KIB // len(text.encode())) for number, text in enumerate("v,é")}
    rest = 256 * KIB - sum(len(name) + len(value.encode()) for name, value in whole.items())
    full = {**whole, "p3": "v" * (rest - 2)}
    image_id = make(server, **full)
    assert properties_of(server, image_id, full) == full
    document = json.dumps({"properties": full}).encode()
    assert server.post("/v1/images", JSON, document).json["image"]["properties"] == full
    listed = [
        server.get(f"/v1/images/detail?name={image_id}&property-p3={'v' * 10}"),
        server.get("/v2/images"),
    ]
    assert [answer.status for answer in listed] == [200, 200]
    for too_much in ({"p0": "v" * (64 * KIB + 1)}, {**full, "p3": "v" * (rest - 1)}):
        answer = server.post("/v2/images", JSON, json.dumps(too_much).encode())
        assert answer.status == 413
        assert "bytes" in answer.json["error"]["message"]


def test_r1_g2_a_snapshot_of_many_volumes_is_kept_and_found_again(server: Server) -> None:
    """r1-G2: nova puts a JSON document into one property, through v2."""
    volumes = [{"snapshot_id": f"{n:036}", "volume_size": n, "device_name": f"/dev/vd{n}"} for n in range(26)]
    mapping = json.dumps(volumes * 20)
    image_id = make(server, **RAW, block_device_mapping=mapping, os_distro="debian")
    change = [{"op": "replace", "path": "/os_distro", "value": "fedora"}]
    answer = server.request("PATCH", f"/v2/images/{image_id}", PATCH, json.dumps(change).encode())
    assert (answer.status, answer.json["block_device_mapping"]) == (200, mapping)
    assert server.request(
        "PUT", f"/v2/images/{image_id}/file", {"Content-Type": "application/octet-stream"}, b"x"
    )
    for path in (f"/images/{image_id}", f"/v1/images/{image_id}"):
        for got in (server.head(path), server.get(path)):
            assert (shown(got), got.headers[OMITTED]) == ({"os_distro": "fedora"}, "1")


@pytest.mark.parametrize("path", ["/images", "/v1/images"])
def test_r1_g2_headers_may_set_properties_that_they_cannot_show(server: Server, path: str) -> None:
    """r1-G2: the response's document has them, and if everything fits, no header counts omitted ones."""
    made = server.post(path, {f"{PREFIX}long": "v" * 9000, f"{PREFIX}short": "v"}).json["image"]
    assert made["properties"] == {"long": "v" * 9000, "short": "v"}
    seen = server.head(f"{path}/{made['id']}")
    assert (shown(seen), seen.headers[OMITTED]) == ({"short": "v"}, "1")
    assert server.put(f"{path}/{made['id']}", {f"{PREFIX}long": "w" * 100}).status == 200
    seen = server.head(f"{path}/{made['id']}")
    assert (shown(seen)["long"], OMITTED in seen.headers) == ("w" * 100, False)
