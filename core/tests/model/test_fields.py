"""Fields: the rules for all that a client may ask for, in any dialect."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.model.fields import (
    ImageFields,
    InvalidRequest,
    RequestTooLarge,
    canonical_id,
    check_fields,
    check_properties,
    new_id,
)
from tests.support.workbench import make_settings

SETTINGS = make_settings(image_size_cap=1000, max_properties=2, max_property_bytes=10, max_metadata_bytes=24)
ID = "0f3a8a2e-5c0b-4d52-9c3e-7e0f6a1b2c3d"


def refused(draft: ImageFields) -> str:
    with pytest.raises(InvalidRequest) as caught:
        check_fields(draft, SETTINGS)
    return str(caught.value)


# ---------------------------------------------------------------- ids


@given(st.uuids())
def test_every_uuid_has_one_canonical_form(value):
    assert canonical_id(str(value)) == canonical_id(str(value).upper()) == str(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "../../etc/cron.d/x",
        "..%2f..",
        "/abs",
        "a/b",
        "C:\\x",
        "CON",
        "a" * 1000,
        "\0",
        f"{ID}\n",
        f" {ID}",
        f"{ID}\0",
        f"{{{ID}}}",
        f"urn:uuid:{ID}",
        ID.replace("-", ""),
        f"{ID[:9]}{ID[9:].replace('-', '')}----",
        ID.replace("0", "\N{FULLWIDTH DIGIT ZERO}"),
        ID.replace("0", "\N{ARABIC-INDIC DIGIT ZERO}"),
        ID.replace("a", "\N{CYRILLIC SMALL LETTER A}"),
        "\N{KELVIN SIGN}" + ID[1:],
        "detail",
    ],
)
def test_text_that_is_not_a_uuid_in_its_usual_form_is_refused_as_an_id(text):
    assert canonical_id(text) is None


@given(st.text(max_size=40))
def test_any_text_accepted_as_an_id_denotes_the_same_uuid(text):
    found = canonical_id(text)

    assert found is None or found == str(uuid.UUID(text))


def test_new_ids_are_valid_and_differ():
    ids = {new_id() for _ in range(100)}

    assert len(ids) == 100
    assert all(canonical_id(each) == each for each in ids)


# ---------------------------------------------------------------- fields


def test_an_image_without_fields_is_valid():
    check_fields(ImageFields(), SETTINGS)


@pytest.mark.parametrize("name", ["name", "owner"])
def test_the_limit_of_a_field_counts_characters_and_not_bytes(name):
    check_fields(ImageFields(fields={name: "\N{PILE OF POO}" * 255}), SETTINGS)

    assert "too long" in refused(ImageFields(fields={name: "a" * 256}))


@pytest.mark.parametrize(
    "bad", ["\0", "\n", "\r", "\x1b", "\x7f", "\x85", "\x9f", "\u2028", "\u2029", "\ud800"]
)
def test_control_characters_are_refused_in_fields_and_properties(bad):
    assert "control characters" in refused(ImageFields(fields={"name": f"a{bad}b"}))
    assert "control characters" in refused(ImageFields(properties={"k": f"a{bad}b"}))


@pytest.mark.parametrize(
    "fine", ["", " ", "\N{RIGHT-TO-LEFT OVERRIDE}x", "e\u0301", "\xe9", "\xa0", "\U0001f4a9"]
)
def test_text_without_control_characters_is_accepted_in_fields_and_properties(fine):
    check_fields(ImageFields(fields={"name": fine}, properties={"k": fine}), SETTINGS)


def test_a_field_can_be_null():
    check_fields(ImageFields(fields=dict.fromkeys(["name", "disk_format", "container_format"])), SETTINGS)


@pytest.mark.parametrize("name", ["disk_format", "container_format"])
def test_a_format_that_is_not_configured_is_refused(name):
    check_fields(ImageFields(fields={name: "ami"}), SETTINGS)
    sentence = refused(ImageFields(fields={name: "floppy" * 20}))

    assert sentence.startswith(f"Invalid {name.replace('_', ' ')} 'floppy")
    assert "...' for image; one of: ami, ari, aki, " in sentence
    assert len(sentence) < 200


@pytest.mark.parametrize("name", ["min_disk", "min_ram"])
@pytest.mark.parametrize(("value", "fine"), [(0, True), (2**31 - 1, True), (-1, False), (2**31, False)])
def test_min_disk_and_min_ram_outside_of_their_range_are_refused(name, value, fine):
    draft = ImageFields(fields={name: value})
    if fine:
        check_fields(draft, SETTINGS)
    else:
        assert name in refused(draft)


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_a_size_within_the_cap_is_accepted(size):
    check_fields(ImageFields(size=size), SETTINGS)


@pytest.mark.parametrize(
    ("size", "error"),
    [(-1, InvalidRequest), (2**63, InvalidRequest), (1001, RequestTooLarge), (2**63 - 1, RequestTooLarge)],
)
def test_a_size_outside_of_the_cap_is_refused(size, error):
    with pytest.raises(InvalidRequest) as caught:
        check_fields(ImageFields(size=size), SETTINGS)

    assert type(caught.value) is error


# ---------------------------------------------------------------- properties


@pytest.mark.parametrize("name", ["", " ", "a b", "a\n", "\xe9", "a" * 256, "a\0"])
def test_a_property_name_that_is_not_printable_ascii_without_blanks_is_refused(name):
    assert "property's name" in refused(ImageFields(properties={name: "v"}))


@pytest.mark.parametrize("name", ["a", "__proto__", "owner", "hw-x", "a.b", "!", "a" * 255])
def test_any_printable_ascii_property_name_is_accepted(name):
    check_fields(ImageFields(properties={name: "v"}), SETTINGS)


def test_the_limit_of_a_property_value_counts_bytes():
    check_fields(ImageFields(properties={"k": "a" * 10}), SETTINGS)
    with pytest.raises(RequestTooLarge, match="longer than 10 bytes"):
        check_fields(ImageFields(properties={"k": "\xe9" * 6}), SETTINGS)


def test_the_number_of_properties_is_limited():
    check_properties({"a": "1", "b": "2"}, SETTINGS)
    with pytest.raises(RequestTooLarge, match="3; at most 2 are allowed"):
        check_properties({"a": "1", "b": "2", "c": "3"}, SETTINGS)


def test_the_length_of_all_properties_with_their_names_is_limited():
    check_properties({"aa": "x" * 10, "bb": "x" * 10}, SETTINGS)
    with pytest.raises(RequestTooLarge, match="25 bytes together; at most 24"):
        check_properties({"aa": "x" * 10, "bbb": "x" * 10}, SETTINGS)


@pytest.mark.parametrize("text", ["a\x00", "\x1b[31m", "a\nb"])
def test_a_declared_digest_with_control_characters_is_refused(text):
    with pytest.raises(InvalidRequest, match="control characters"):
        check_fields(ImageFields(digests={"md5": text}), make_settings())
