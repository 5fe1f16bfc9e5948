"""Names of properties: which are reserved, and how headers spell the others."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from calotype.api.http.meta_headers import OMITTED, PROPERTY, decode, encode
from calotype.model.fields import ImageFields, InvalidRequest, properties_after
from calotype.model.policy import FIELDS
from calotype.model.property_names import (
    HEADER_COUNT_MAX,
    HEADER_MAX,
    HEADERS_MAX,
    SERVER_FIELDS,
    fold,
    header_names,
    is_reserved,
    omitted_from_headers,
)
from core.tests.model.test_policy import make_image

#: The characters that RFC 9110 5.6.2 allows in a header's name.
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

#: Any name that a property may have, and names that collide, because they are spellings of one word.
NAMES = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=12
) | st.from_regex(r"[aA][-_:%][bB]|%[24][015dD]", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=12)
PROPERTIES = st.dictionaries(NAMES, VALUES, max_size=8)


@given(properties=PROPERTIES)
@example(properties={"Foo": "1", "foo": "2"})
@example(properties={"Foo": "1", "FOO": "2"})
@example(properties={"distro": "1", "distro:x": "2"})
@example(properties={"a-b": "1", "a_b": "2"})
@example(properties={"%46oo": "1", "Foo": "2", "foo": "3"})
def test_no_two_properties_have_headers_that_clients_could_confuse(properties: dict[str, str]) -> None:
    """r1-C4: they differ in more than case and dashes, and each is a valid name of a header."""
    names = [name for name, _ in encode({}, properties)]
    assert all(TOKEN.fullmatch(name) for name in names)
    assert len({fold(name) for name in names}) == len(properties)


@given(properties=PROPERTIES)
@example(properties={"Foo": "1", "foo": "2"})
@example(properties={"a-b": " blank ", "a_b": ""})
@example(properties={"%46oo": "1", "Foo": "2", "foo": "3"})
def test_sending_shown_headers_back_changes_no_property(
    properties: dict[str, str],
) -> None:
    """r1-C4: this holds even if the client folds names and strips blanks, and with a purge."""
    image = make_image(properties=properties)
    shown = [(name.title(), value.strip(" ")) for name, value in encode({}, properties)]
    given_back = decode(shown).properties
    for purge in (True, False):
        draft = ImageFields(properties=given_back, from_headers=True, replace_properties=purge)
        assert properties_after(draft, image) == properties
    # In v1 an empty value drops the property.
    empty = frozenset(name for name, value in given_back.items() if not value)
    kept = {name: value for name, value in given_back.items() if value}
    draft = ImageFields(properties=kept, dropped=empty, from_headers=True, replace_properties=True)
    assert properties_after(draft, image) == properties


@given(properties=PROPERTIES, name=NAMES, value=st.from_regex("[a-z]{1,5}", fullmatch=True))
def test_a_header_changes_the_one_property_that_is_shown_under_its_name(
    properties: dict[str, str], name: str, value: str
) -> None:
    """r1-C4: this holds whatever other properties the image has."""
    properties = {**properties, name: "before"}
    spelled = header_names(properties)[name]
    given_back = decode([(f"{PROPERTY}{spelled}", value)]).properties
    after = properties_after(
        ImageFields(properties=given_back, from_headers=True), make_image(properties=properties)
    )
    assert after == {**properties, name: value}
    dropping = ImageFields(dropped=frozenset(given_back), from_headers=True)
    assert properties_after(dropping, make_image(properties=properties)) == {
        one: text for one, text in properties.items() if one != name
    }


@given(
    sizes=st.dictionaries(
        NAMES, st.sampled_from([0, 1, 300, 800, HEADER_MAX - 3, HEADER_MAX, 60_000]), max_size=90
    )
)
@example(sizes={f"p{number:02}": 0 for number in range(HEADER_COUNT_MAX + 1)})
@example(sizes={f"p{number:02}": 600 for number in range(HEADER_COUNT_MAX)})
def test_headers_show_the_properties_that_fit_and_a_purge_keeps_the_others(sizes: dict[str, int]) -> None:
    """r1-G2: no shown property is longer than one that is left out, and all are shown if they fit."""
    properties = {name: "v" * size for name, size in sizes.items()}
    headers = dict(encode({}, properties))
    omitted = omitted_from_headers(properties)
    assert headers.pop(OMITTED, "0") == f"{len(omitted)}"
    assert len(headers) == len(properties) - len(omitted) <= HEADER_COUNT_MAX
    lengths = {name: len(spelled) + sizes[name] for name, spelled in header_names(properties).items()}
    seen = [lengths[name] for name in properties if name not in omitted]
    assert sum(seen) <= HEADERS_MAX
    assert max(seen, default=0) <= min((lengths[name] for name in omitted), default=HEADER_MAX)
    fits = sum(lengths.values()) <= HEADERS_MAX and len(lengths) <= HEADER_COUNT_MAX
    if fits and max(lengths.values(), default=0) <= HEADER_MAX:
        assert not omitted
    draft = ImageFields(from_headers=True, replace_properties=True)
    assert properties_after(draft, make_image(properties=properties)).keys() == omitted


def test_a_property_whose_name_collides_with_no_other_has_a_plain_header_name() -> None:
    """r1-C4: old clients read what they always have."""
    assert header_names(["Foo", "kernel_id", "a-b", "trait:HW_CPU"]) == {
        "Foo": "foo",
        "kernel_id": "kernel_id",
        "a-b": "a_b",
        "trait:HW_CPU": "trait%3ahw_cpu",
    }
    assert header_names(["Foo", "foo", "FOO"]) == {"Foo": "%46oo", "foo": "foo", "FOO": "%46%4f%4f"}


def test_a_new_property_gets_the_name_that_its_header_spells() -> None:
    """r1-C4: this holds even if the image has several properties that the header could stand for."""
    image = make_image(properties={"Foo": "1", "FOO": "2"})
    draft = ImageFields(properties={"foo": "3", "%zz": "4"}, from_headers=True)
    assert properties_after(draft, image) == {"Foo": "1", "FOO": "2", "foo": "3", "%zz": "4"}
    assert decode([(f"{PROPERTY}%46oo", "5")]).properties == {"Foo": "5"}


def test_two_spellings_of_one_property_are_refused() -> None:
    """r1-C4: the service cannot know which of the two values is meant."""
    image = make_image(properties={"Foo": "1"})
    with pytest.raises(InvalidRequest, match="twice"):
        properties_after(ImageFields(properties={"foo": "1", "Foo": "2"}, from_headers=True), image)
    with pytest.raises(InvalidRequest, match="occurs twice"):
        decode([(f"{PROPERTY}a.b", "1"), (f"{PROPERTY}a%2eb", "2")])


def test_the_names_of_fields_are_reserved() -> None:
    """r1-C3: all dialects share one list."""
    for name in (
        *SERVER_FIELDS,
        *FIELDS,
        *("id", "tags", "location", "locations", "deleted", "deleted_at", "direct_url", "stores"),
        *("os_glance_import_task", "os_glance", "os_glance_x"),
    ):
        assert is_reserved(name)
    for name in ("kernel_id", "os_distro", "description", "Name", "owner_id", "os_glancing"[:6], "location2"):
        assert not is_reserved(name)
