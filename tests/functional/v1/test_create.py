"""Checks 35 to 51 and 58 to 62: creating images."""

from __future__ import annotations

import hashlib
import uuid

import pytest

from tests.conftest import StartServer
from tests.support.server import OCTETS, meta
from tests.support.v1 import BYTES, FORMATS, V1, assert_refused, changed, made

MD5 = hashlib.md5(BYTES).hexdigest()


def assert_not_recorded(v1: V1, image_id: str) -> None:
    """Check that there is no record, not even a tombstone."""
    assert v1.server.query("SELECT id FROM images WHERE id = ?", image_id) == []
    assert v1.server.blobs(image_id) == []


def refuse(v1: V1, status: int, *words: str, body: bytes | None = None, **fields: str) -> None:
    """Check that a POST is refused and leaves nothing."""
    image_id = str(uuid.uuid4())
    assert_refused(v1.post(body, **{"id": image_id, **fields}), status, *words)
    assert_not_recorded(v1, image_id)


def test_035_an_upload_answers_201_with_the_record(v1: V1) -> None:
    answer = v1.post(b"*" * 5120, **FORMATS, name="stars")
    image = made(answer)
    assert (image["size"], image["status"]) == (5120, "active")
    assert image["checksum"] == answer.headers["ETag"] == "c2e5db72bd7fd153f53ede5da5a06de3"
    assert answer.headers["Location"] == f"{v1.server.base}/v1/images/{image['id']}"


def test_036_a_name_alone_reserves_an_image(v1: V1) -> None:
    image = v1.make(name="reserved")
    created = {name: image.pop(name) for name in ("id", "created_at", "updated_at")}
    assert str(uuid.UUID(created["id"])) == created["id"]
    assert created["created_at"] == created["updated_at"]
    assert image == {
        "name": "reserved",
        "status": "queued",
        "size": 0,
        "virtual_size": None,
        "checksum": None,
        "disk_format": None,
        "container_format": None,
        "is_public": False,
        "protected": False,
        "owner": "default",
        "min_disk": 0,
        "min_ram": 0,
        "deleted": False,
        "deleted_at": None,
        "properties": {},
    }


def test_037_no_response_contains_a_location(v1: V1) -> None:
    answer = v1.post(BYTES, **FORMATS)
    image = made(answer)
    (listed,) = [one for one in v1.list() if one["id"] == image["id"]]
    put = changed(v1.put(image["id"], name="other"))
    for record in (image, listed, put):
        assert not {"location", "location_data", "locations", "store", "uri"} & set(record)
    for told in (v1.head(image["id"]), v1.get(f"/images/{image['id']}")):
        assert not {"location", "store"} & set(told.meta)


def test_038_dashes_and_underscores_are_equal_in_headers(v1: V1) -> None:
    fields = {**FORMATS, "is_public": "True", "min_ram": "5", "min_disk": "6"}
    answers = [
        made(v1.request("POST", "/images", {**OCTETS, **headers}, BYTES))
        for headers in (
            meta(**fields),
            meta(**{name.replace("_", "-"): text for name, text in fields.items()}),
        )
    ]
    for image in answers:
        assert (image["disk_format"], image["container_format"]) == ("raw", "ovf")
        assert (image["is_public"], image["min_ram"], image["min_disk"]) == (True, 5, 6)


def test_039_an_id_cannot_be_used_again(v1: V1) -> None:
    image_id = str(uuid.uuid4())
    assert v1.make(id=image_id)["id"] == image_id
    again = f"An image with identifier {image_id} already exists"
    assert_refused(v1.post(id=image_id), 409, again)
    assert v1.delete(f"/images/{image_id}").status == 200
    assert_refused(v1.post(id=image_id), 409, again)


@pytest.mark.parametrize("image_id", ["abc", "42", "{}", "6d2f6a2e1c9f4f0a9c390d3f6c1b7a55"])
def test_039_an_id_that_is_not_a_uuid_is_400(v1: V1, image_id: str) -> None:
    assert_refused(v1.post(id=image_id), 400, "Invalid image id format")


@pytest.mark.parametrize("body", [None, BYTES])
def test_040_unknown_formats_are_refused(v1: V1, body: bytes | None) -> None:
    refuse(v1, 400, "Invalid disk format 'bad'", body=body, disk_format="bad", container_format="bare")
    refuse(v1, 400, "Invalid container format", body=body, disk_format="raw", container_format="bad")


@pytest.mark.parametrize("amazon", ["ami", "aki", "ari"])
def test_041_one_amazon_format_sets_the_other_format_too(v1: V1, amazon: str) -> None:
    for given in ("disk_format", "container_format"):
        image = v1.make(BYTES, **{given: amazon})
        assert (image["disk_format"], image["container_format"]) == (amazon, amazon)


def test_041_amazon_formats_do_not_mix(v1: V1) -> None:
    refuse(v1, 400, "Invalid mix", disk_format="ami", container_format="ovf")
    refuse(v1, 400, "Invalid mix", disk_format="raw", container_format="aki")
    refuse(v1, 400, "Invalid mix", disk_format="ari", container_format="aki")


def test_042_an_upload_needs_both_formats(v1: V1) -> None:
    refuse(v1, 400, "Disk format is not specified", body=BYTES, container_format="ovf")
    refuse(v1, 400, "Container format is not specified", body=BYTES, disk_format="raw")


@pytest.mark.parametrize("typed", [{"Content-Type": "not octet-stream"}, {"Content-Type": "text/plain"}, {}])
def test_043_an_upload_needs_the_right_content_type(v1: V1, typed: dict[str, str]) -> None:
    image_id = str(uuid.uuid4())
    answer = v1.request("POST", "/images", {**typed, **meta(id=image_id, **FORMATS)}, BYTES)
    assert_refused(answer, 400, "Content-Type must be application/octet-stream")
    assert_not_recorded(v1, image_id)


def test_043_parameters_of_the_content_type_are_ignored(v1: V1) -> None:
    typed = {"Content-Type": "application/octet-stream; x=y"}
    made(v1.request("POST", "/images", {**typed, **meta(**FORMATS)}, BYTES))


def refuse_bytes(v1: V1, *words: str, **fields: str) -> None:
    """Check that bytes that differ from their declaration kill the image and are removed."""
    image_id = str(uuid.uuid4())
    assert_refused(v1.post(BYTES, id=image_id, **FORMATS, is_public="True", **fields), 400, *words)
    assert v1.head(image_id).meta["status"] == "killed"
    assert image_id not in v1.ids("limit=1000")
    assert v1.server.blobs(image_id) == []
    assert v1.server.leftovers() == []


def test_044_another_size_than_declared_kills_the_image(v1: V1) -> None:
    refuse_bytes(v1, "did not match", size="18")
    refuse_bytes(v1, "did not match", size="20")


def test_045_another_checksum_than_declared_kills_the_image(v1: V1) -> None:
    refuse_bytes(v1, "did not match", checksum="0" * 32)
    assert v1.store(checksum=MD5)["checksum"] == MD5


def test_045_a_checksum_of_more_than_32_characters_is_refused(v1: V1) -> None:
    refuse(v1, 400, "Invalid checksum", body=BYTES, checksum="0" * 42, **FORMATS)


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("size", "-1", "negative"),
        ("size", "abc", "Cannot convert"),
        ("size", "", "Cannot convert"),
        ("size", "9" * 19, "size"),
        ("min_ram", "-1", "negative"),
        ("min_ram", "", "Cannot convert"),
        ("min_disk", "2147483648", "out of range"),
        ("min_disk", "1.5", "Cannot convert"),
        ("virtual_size", "junk", "Cannot convert"),
    ],
)
def test_046_invalid_numbers_are_refused(v1: V1, field: str, value: str, word: str) -> None:
    refuse(v1, 400, word, **{field: value})


def test_046_the_largest_number_is_accepted(v1: V1) -> None:
    image = v1.make(min_disk="2147483647", min_ram="2147483647")
    assert (image["min_disk"], image["min_ram"]) == (2147483647, 2147483647)


def test_047_a_name_of_more_than_255_characters_is_refused(v1: V1) -> None:
    for longest in ("n" * 255, "é" * 255):
        assert v1.make(name=longest.encode().decode("latin-1"))["name"] == longest
    refuse(v1, 400, "too long", name="n" * 256)


def test_048_an_unknown_header_is_refused(v1: V1) -> None:
    refuse(v1, 400, "Bad header: x-image-meta-type", type="raw")
    refuse(v1, 400, "Bad header", no_such_thing="1")


@pytest.mark.parametrize("field", ["is_public", "protected"])
def test_049_a_word_for_true_is_true_and_any_other_word_is_false(v1: V1, field: str) -> None:
    for word in ("True", "true", "1", "on", "yes", "y", "t", " TRUE "):
        image = v1.make(**{field: word})
        assert image[field] is True, word
        changed(v1.put(image["id"], **{field: "False"}))
    for word in ("False", "0", "no", "None", "junk", ""):
        assert v1.make(**{field: word})[field] is False, word


def test_050_size_0_is_an_empty_image(v1: V1) -> None:
    image = v1.make(size="0", **FORMATS)
    assert (image["status"], image["size"]) == ("active", 0)
    got = v1.get(f"/images/{image['id']}")
    assert (got.status, got.body, got.headers["Content-Length"]) == (200, b"", "0")


def test_051_an_unknown_store_is_refused(v1: V1) -> None:
    refuse(v1, 400, "bad", body=BYTES, store="bad", **FORMATS)
    assert v1.store(store="file")["status"] == "active"


def test_058_more_properties_than_the_limit_are_refused(v1: V1) -> None:
    most = {f"property_p{number}": "x" for number in range(70)}
    assert len(v1.make(**most)["properties"]) == 70
    refuse(
        v1,
        413,
        "limit has been exceeded on the number of allowed image properties",
        **most,
        property_more="x",
    )


def test_058_a_property_without_a_value_is_absent(v1: V1) -> None:
    image = v1.make(property_empty="", property_full="x")
    assert image["properties"].get("empty") is None
    assert "property-empty" not in v1.head(image["id"]).meta


@pytest.mark.parametrize("moment", ["foo", "-42", "1100", "", "1899-12-31", "2012-13-01", "2012-01-01T25:00"])
def test_059_invalid_times_are_refused(v1: V1, moment: str) -> None:
    for field in ("created_at", "updated_at", "deleted_at"):
        refuse(v1, 400, "Invalid time format", **{field: moment})


def test_059_a_client_cannot_set_deleted_or_times(v1: V1) -> None:
    old = "2001-01-01T00:00:00.000000"
    image = v1.make(deleted="True", created_at=old, updated_at=old, deleted_at=old)
    assert (image["deleted"], image["deleted_at"]) == (False, None)
    assert min(image["created_at"], image["updated_at"]) > "2020"
    assert v1.head(image["id"]).status == 200


def test_060_a_status_cannot_be_chosen(v1: V1) -> None:
    assert v1.make(status="active")["status"] == "queued"
    assert v1.store(status="queued")["status"] == "active"


def test_061_an_upload_of_unknown_size_is_accepted(v1: V1) -> None:
    image = v1.make(iter([BYTES, BYTES]), **FORMATS)
    assert (image["status"], image["size"]) == ("active", 2 * len(BYTES))


def test_061_more_than_the_cap_is_413_in_any_framing(start_server: StartServer) -> None:
    v1 = V1(start_server({"calotype.image_size_cap": "18"}))
    assert v1.post(BYTES, **FORMATS).status == 413
    assert v1.post(iter([BYTES]), **FORMATS).status == 413
    refuse(v1, 413, "Denying attempt to upload image larger than", size="19", **FORMATS)
    assert v1.server.blobs() == v1.server.leftovers() == []
    assert v1.store(BYTES[:18])["size"] == 18


def test_062_a_store_that_takes_no_uploads_is_refused_before_anything_is_recorded(fetching: V1) -> None:
    refuse(fetching, 400, "takes no uploads", body=BYTES, store="http", **FORMATS)
