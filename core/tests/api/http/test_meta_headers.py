"""The codec of x-image-meta-*: encoded headers can be decoded, and invalid ones are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.api.http.meta_headers import META, PROPERTY, decode, encode, read_boolean, read_integer
from calotype.model.fields import InvalidRequest


def is_a_field(name):
    return not name.startswith("property_")


#: Folded names that are valid in HTTP; `property_...` would be read as the name of a property.
NAMES = st.from_regex(r"[a-z0-9!#$%&'*+.^`|~_]{1,20}", fullmatch=True).filter(is_a_field)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.sampled_from(
    ['"quoted" \\', "\N{PILE OF POO}" * 3, "=?utf-8?q?x?=", "%41", " blank ", "", "a" * 5000, "None", "\xe9"]
)
FIELDS = st.dictionaries(NAMES, TEXTS, max_size=5)


@given(fields=FIELDS, properties=FIELDS)
def test_encoded_headers_are_decoded_unchanged(fields, properties):
    found = decode(encode(fields, properties))

    assert (found.fields, found.properties) == (fields, properties)


@given(fields=FIELDS, properties=FIELDS)
def test_encoded_names_and_values_are_latin_1(fields, properties):
    for name, value in encode(fields, properties):
        name.encode("ascii")
        value.encode("latin-1")


@given(name=st.tuples(NAMES, NAMES).map("_".join).filter(is_a_field), value=TEXTS, upper=st.booleans())
def test_dashes_and_capitals_in_a_name_are_folded(name, value, upper):
    spelt = f"X-Image-Meta-{name.replace('_', '-')}"
    found = decode([(spelt.upper() if upper else spelt, value.encode().decode("latin-1"))])

    assert {**found.fields, **found.properties} == {name: value}


def test_a_header_without_the_meta_prefix_is_ignored():
    found = decode([("Host", "x"), ("X-Image-Met", "y"), ("X-Glance-Registry-Purge-Props", "true")])

    assert (found.fields, found.properties) == ({}, {})


def test_a_property_never_shadows_a_field():
    found = decode([(f"{PROPERTY}status", "active"), (f"{META}status", "queued")])

    assert (found.fields, found.properties) == ({"status": "queued"}, {"status": "active"})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("x-image-meta-min-disk", "X-Image-Meta-Min_Disk"),
        ("x_image_meta_name", "x-image-meta-name"),
        ("x-image-meta-property-a-b", "x-image-meta-property-A_B"),
        ("x-image-meta-name", "x-image-meta-name"),
    ],
)
def test_a_name_that_occurs_in_two_spellings_is_refused(first, second):
    with pytest.raises(InvalidRequest, match="occurs twice"):
        decode([(first, "1"), (second, "1")])


@pytest.mark.parametrize("value", ["\xff", "\xe9", "\xc3", "\xed\xa0\x80", "\u20ac"])
def test_a_value_that_is_not_utf_8_is_refused(value):
    with pytest.raises(InvalidRequest, match="The header x-image-meta-name is not UTF-8"):
        decode([("x-image-meta-name", value)])


# ---------------------------------------------------------------- numbers and truth


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("007", 7), ("12", 12), ("9223372036854775807", 2**63 - 1)]
)
def test_ascii_digits_are_parsed_as_an_integer(text, value):
    assert read_integer("size", text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+5",
        "1_000",
        "\u0663",
        "\uff11",
        "1e3",
        "0x10",
        " 12 ",
        "12\n",
        "1.0",
        "None",
        "\xb2",
        "1" * 20,
        "--1",
        "-",
        "-1.5",
    ],
)
def test_text_with_anything_but_ascii_digits_is_refused_as_an_integer(text):
    with pytest.raises(InvalidRequest, match="Cannot convert size to an integer"):
        read_integer("size", text)


@pytest.mark.parametrize("text", ["-1", "-0", "-9223372036854775808"])
def test_a_negative_integer_is_refused_as_negative(text):
    with pytest.raises(InvalidRequest, match="size: it cannot be negative"):
        read_integer("size", text)


@given(st.integers(0, 2**63 - 1))
def test_every_number_that_fits_a_column_is_read_back(number):
    assert read_integer("size", str(number)) == number


@given(st.text(max_size=25))
def test_any_text_is_an_integer_only_if_it_is_ascii_digits(text):
    fine = text.isascii() and text.isdigit() and len(text) <= 19
    if fine:
        assert read_integer("size", text) == int(text)
    else:
        with pytest.raises(InvalidRequest):
            read_integer("size", text)


@pytest.mark.parametrize("text", ["1", "t", "T", "true", "True", "TRUE", "on", "y", "yes", " Yes "])
def test_a_word_for_true_is_parsed_as_true(text):
    assert read_boolean(text) is True


@pytest.mark.parametrize("text", ["", "0", "f", "false", "off", "no", "none", "2", "truee", "\uff11"])
def test_every_word_that_does_not_mean_true_is_parsed_as_false(text):
    assert read_boolean(text) is False
