"""The costs of requests before they reach the database: steps of validation, and values that are read."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyramid.request import Request

from calotype.api.http.filters import FILTERS_MAX
from calotype.api.http.filters import VALUES_MAX as FILTER_VALUES_MAX
from calotype.api.http.json_input import VALUES_MAX, parse_document
from calotype.api.http.lists import fit
from calotype.api.v1 import listing as v1_listing
from calotype.api.v2 import codec, listing, patch
from calotype.api.v2.schemas import Schemas
from calotype.model.fields import ImageFields, InvalidRequest, RequestTooLarge, check_fields
from calotype.model.images import Image
from calotype.model.queries import SortKey
from calotype.model.states import Status
from core.tests.database.test_queries import EPOCH
from tests.support.workbench import CALLER, make_settings

SETTINGS = make_settings()
IMAGE = Image("id", Status.QUEUED, EPOCH, EPOCH)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**29), 10**29)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


class Counted(list):
    """A list that counts the items that were read."""

    seen = 0

    def __iter__(self) -> Iterator[Any]:
        for item in super().__iter__():
            self.seen += 1
            yield item

    def __getitem__(self, index: Any) -> Any:
        self.seen += 1
        return super().__getitem__(index)


class CountedSchemas(Schemas):
    """Schemas that record the keys whose values they check."""

    def __init__(self) -> None:
        super().__init__(SETTINGS)
        self.checked: list[str] = []

    def check_value(self, name: str, value: object) -> None:
        self.checked.append(name)
        super().check_value(name, value)


def asked(query: str) -> Request:
    request = Request.blank(f"/?{query}")
    request.caller = CALLER
    request.registry = {}
    return request


# -- query strings


@pytest.mark.parametrize(
    "query",
    [
        "sort=" + ",".join(["name:asc"] * 5000),
        "sort=name:asc," + ",".join(["name:desc", "name"] * 2000),
        "&".join(["sort_key=name"] * 200) + "&sort_dir=asc",
    ],
    ids=["in one parameter", "in another direction", "in many parameters"],
)
def test_a_repeated_sort_key_is_ignored(query: str) -> None:
    """r1-D1: there are at most as many keys as fields."""
    sort = listing.read_listing(asked(query), 1000).sort
    assert sort == (SortKey("name"), SortKey("created_at"), SortKey("id"))


def test_each_field_can_be_a_sort_key_once() -> None:
    """r1-D1"""
    fields = "status,container_format,disk_format,size,name,updated_at,created_at,id"
    sort = listing.read_listing(asked(f"sort={fields},{fields}"), 1000).sort
    assert sort == tuple(SortKey(field, descending=True) for field in fields.split(","))


@pytest.mark.parametrize("kind", ["tag={}", "p{}=x", "name=n{}", "size=1{}"])
def test_the_number_of_filters_is_limited(kind: str) -> None:
    """r1-D1: tags, properties and fields count alike."""
    allowed = "&".join(kind.format(number) for number in range(FILTERS_MAX))
    listing.read_listing(asked(allowed), 1000)
    with pytest.raises(InvalidRequest, match=f"at most {FILTERS_MAX} filters"):
        listing.read_listing(asked(f"{allowed}&{kind.format(FILTERS_MAX)}"), 1000)


def test_the_number_of_filters_is_limited_in_v1() -> None:
    """r1-D1: the conditions that v1 adds itself do not count."""
    allowed = "&".join(f"property-p{number}=x" for number in range(FILTERS_MAX))
    v1_listing.read_listing(asked(allowed), 1000)
    with pytest.raises(InvalidRequest, match=f"at most {FILTERS_MAX} filters"):
        v1_listing.read_listing(asked(f"{allowed}&name=n"), 1000)


def test_the_number_of_values_of_a_filter_is_limited() -> None:
    """r1-D1: the limit applies to `in:` in each field that supports it."""
    allowed = ",".join(["v"] * FILTER_VALUES_MAX)
    for name in ("id", "name", "status", "disk_format", "container_format"):
        (_, condition) = listing.read_listing(asked(f"{name}=in:{allowed}"), 1000).conditions
        assert len(condition.value) == FILTER_VALUES_MAX
        with pytest.raises(InvalidRequest, match=f"{name} can have at most {FILTER_VALUES_MAX} values"):
            listing.read_listing(asked(f"{name}=in:{allowed},v"), 1000)


# -- documents


@given(value=JSON)
def test_a_valid_document_is_read_unchanged(value: Any) -> None:
    assert parse_document(json.dumps(value).encode()) == value


@pytest.mark.parametrize("item", [b"1", b"{}", b"[]", b'""', b"null"])
def test_the_number_of_values_of_a_document_is_limited(item: bytes) -> None:
    """r1-D2: values are counted before they are parsed."""
    many = b"[" + b",".join([item] * (VALUES_MAX + 1)) + b"]"
    with pytest.raises(RequestTooLarge, match=f"at most {VALUES_MAX}"):
        parse_document(many)
    assert len(parse_document(b"[" + b",".join([item] * (VALUES_MAX // 3)) + b"]")) == VALUES_MAX // 3


@given(text=st.lists(st.sampled_from([",", "[{", '"', "\\", '\\"', "v", "\n"]), max_size=9).map("".join))
@example(text='"\\",[{')
@settings(max_examples=10)
def test_commas_within_strings_do_not_count_as_values(text: str) -> None:
    """r1-G2: a property may contain a JSON document with more commas than the limit on values."""
    long = (text + ",") * (VALUES_MAX + 1)
    assert parse_document(json.dumps({"p": long, "q": [text]}).encode()) == {"p": long, "q": [text]}
    with pytest.raises(RequestTooLarge):
        parse_document(json.dumps([text, *[0] * VALUES_MAX, text]).encode())


@pytest.mark.parametrize("end", ["", "\\", '\\"'])
def test_an_unterminated_string_is_read_once(end: str) -> None:
    """r1-G2: commas are counted in linear time even if a string has no closing quote."""
    body = b'"' + b'\\",' * 300_000 + end.encode()
    begun = time.process_time()
    with pytest.raises(InvalidRequest):
        parse_document(body)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    "number", ["1" * 31, "-" + "1" * 31, "1" * 5000, "1e400", "-1e400", "NaN", "Infinity"]
)
def test_a_number_that_cannot_be_represented_is_refused_at_any_depth(number: str) -> None:
    for form in ("{}", "[{}]", '{{"a": [{{"b": {}}}]}}'):
        with pytest.raises(InvalidRequest, match="Malformed JSON"):
            parse_document(form.format(number).encode())


def test_a_document_nested_more_than_twenty_deep_is_refused() -> None:
    parse_document(b"[" * 20 + b"]" * 20)
    for deep in (21, 5000, 90_000):
        with pytest.raises(InvalidRequest):
            parse_document(b"[" * deep + b"]" * deep)


# -- schemas


def test_the_first_error_ends_the_validation() -> None:
    """r1-D2: the same document always gets the same error."""
    schemas = Schemas(SETTINGS)
    tags = Counted([1] * 100)
    for _ in range(2):
        with pytest.raises(
            InvalidRequest, match=r"Invalid value for tags\.0: the schema asks for type string"
        ):
            schemas.check_value("tags", tags)
    assert tags.seen == 2


@pytest.mark.parametrize("kind", ["tags", "stores"])
@pytest.mark.parametrize("item", ["a", 1])
def test_an_array_is_counted_before_its_items_are_checked(kind: str, item: object) -> None:
    """r1-D2"""
    schemas = Schemas(SETTINGS)
    items = Counted([item] * 129)
    order = {"method": {"name": "web-download"}, "stores": items}
    with pytest.raises(RequestTooLarge, match="Too many values for"):
        schemas.check_value(kind, items) if kind == "tags" else schemas.check("import", order)
    assert items.seen == 0


def test_the_schema_shows_the_limit_on_tags() -> None:
    """r1-D2"""
    documents = Schemas(make_settings(max_tags=7)).documents
    assert documents["image"]["properties"]["tags"]["maxItems"] == 7


# -- drafts


def test_a_value_that_a_patch_overwrites_is_not_checked() -> None:
    """r1-D2: a thousand lists of tags are validated once."""
    schemas = CountedSchemas()
    changes = [{"op": "replace", "path": "/tags", "value": [f"{number}"]} for number in range(1000)]
    draft = patch.draft_of(patch.read_patch(changes, patch.V21), IMAGE, schemas)
    assert (draft.tags, schemas.checked) == (("999",), ["tags"])


def test_only_the_final_values_of_a_patch_are_checked() -> None:
    """r1-D2: an invalid final value is refused, and an overwritten one is not."""
    schemas = Schemas(SETTINGS)
    put = [{"op": "add", "path": "/p", "value": 1}, {"op": "add", "path": "/p", "value": "v"}]
    assert patch.draft_of(patch.read_patch(put, patch.V21), IMAGE, schemas).properties == {"p": "v"}
    taken_back = [*put[:1], {"op": "remove", "path": "/p"}]
    assert patch.draft_of(patch.read_patch(taken_back, patch.V21), IMAGE, schemas) == ImageFields()
    with pytest.raises(InvalidRequest, match="Invalid value for p: the schema asks for type string"):
        patch.draft_of(patch.read_patch(put[::-1], patch.V21), IMAGE, schemas)


def test_an_error_quotes_only_the_beginning_of_a_long_key() -> None:
    """r1-D2: a response is never as long as the request."""
    schemas, key = Schemas(SETTINGS), "k" * 100_000
    for change in ({"op": "remove", "path": f"/{key}"}, {"op": "add", "path": f"/{key}", "value": 1}):
        with pytest.raises(Exception) as refused:
            patch.draft_of(patch.read_patch([change], patch.V21), IMAGE, schemas)
        assert len(str(refused.value)) < 300
    with pytest.raises(InvalidRequest) as refused:
        codec.read_draft({key: 1}, schemas)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "draft", [ImageFields(properties=dict.fromkeys("abc", "\0")), ImageFields(tags=("\0",) * 3)]
)
def test_fields_are_counted_before_they_are_checked(draft: ImageFields) -> None:
    """r1-D2"""
    with pytest.raises(RequestTooLarge, match="limit has been exceeded"):
        check_fields(draft, make_settings(max_properties=2, max_tags=2))


# -- lists


@given(sizes=st.lists(st.integers(0, 40), max_size=12), room=st.integers(1, 200))
def test_a_page_has_the_documents_that_fit_but_at_least_one(sizes: list[int], room: int) -> None:
    """r1-D6: the rest begins after the last document that fits."""
    documents = [(f"{number}", "x" * size) for number, size in enumerate(sizes)]
    shown = fit(iter(documents), room)
    count = len(shown.texts)
    assert [json.loads(text) for text in shown.texts] == [text for _, text in documents[:count]]
    assert shown.cut == (count < len(documents))
    assert shown.last == (documents[count - 1][0] if count else None)
    assert count >= min(1, len(documents))
    assert count <= 1 or sum(map(len, shown.texts)) <= room
    if shown.cut:
        assert sum(map(len, shown.texts)) + sizes[count] + 2 > room


def test_a_full_page_reads_no_further_documents() -> None:
    """r1-D6"""
    read: list[int] = []

    def documents() -> Iterator[tuple[str, str]]:
        for number in range(100):
            read.append(number)
            yield f"{number}", "x" * 98

    assert len(fit(documents(), 1000).texts) == 10
    assert len(read) == 11
