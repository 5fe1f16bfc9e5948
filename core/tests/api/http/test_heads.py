"""The costs of a HEAD of bytes, and conditions in any combination."""

from __future__ import annotations

import datetime
import email.utils
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyramid.request import Request
from sqlalchemy import event
from webtest import TestApp

from calotype.api.http.conditions import PreconditionFailed, Validators
from calotype.app import make_app
from calotype.model.change import Change
from calotype.model.fields import ImageFields
from calotype.model.images import Image
from calotype.stores import Store
from calotype.testing import Trickle, pattern
from calotype.transfers.readers import Announced
from tests.support.workbench import Bench

EPOCH = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
HELD = Validators("e", EPOCH)


@pytest.fixture
def image(bench: Bench) -> Image:
    return bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(pattern(100))))


@pytest.fixture
def asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Record the calls of the store and the SQL statements, in order."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    def noting(method: str) -> Callable[..., Any]:
        original = getattr(bench.store, method)
        return lambda *args, **given: seen.append(f"store.{method}") or original(*args, **given)

    for method in ("get", "size", "file_path", "direct_url"):
        if hasattr(Store, method):
            monkeypatch.setattr(bench.store, method, noting(method))
    event.listen(bench.database._reading, "before_cursor_execute", note)
    yield seen
    event.remove(bench.database._reading, "before_cursor_execute", note)


@pytest.mark.parametrize("path", ["/images/{}", "/v1/images/{}", "/v1/images/{}/file", "/v2/images/{}/file"])
def test_a_head_of_bytes_takes_two_statements_and_asks_no_store(
    bench: Bench, image: Image, asked: list[str], path: str
) -> None:
    """r1-B4: the record has all that is needed."""
    app = TestApp(make_app(bench.service))
    asked.clear()
    answer = app.head(path.format(image.id))

    assert (answer.status_int, answer.headers["Content-Length"]) == (200, "100")
    assert len(asked) == 2
    assert not [call for call in asked if call.startswith("store.")]
    assert app.get(path.format(image.id)).body == pattern(100)
    assert "store.get" in asked


@pytest.mark.parametrize("path", ["/images/{}", "/v2/images/{}/file"])
def test_a_head_is_200_where_a_get_is_redirected(
    bench: Bench, image: Image, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """r1-B4: the record has all that is needed, so the client need not follow a redirect."""
    checked = bench.stores["memory"]
    monkeypatch.setattr(checked, "redirect", True)
    monkeypatch.setattr(checked, "direct_url", lambda location, expires: "http://elsewhere.example/bytes")
    app = TestApp(make_app(bench.service))

    assert app.get(path.format(image.id)).status_int == 307
    head = app.head(path.format(image.id))
    assert (head.status_int, head.headers["Content-Length"]) == (200, "100")
    assert "Location" not in head.headers


def test_a_head_without_a_good_copy_gets_the_same_error_as_a_get(bench: Bench, image: Image) -> None:
    """r1-B4"""
    bad = replace(image, locations=tuple(replace(one, quarantined=True) for one in image.locations))
    for verb in (bench.lifecycle.reading.require_data, bench.lifecycle.reading.open):
        with pytest.raises(Exception, match="all its copies are in quarantine"):
            verb(bad)


# ---------------------------------------------------------------- conditions

TAGS = st.lists(st.sampled_from(['"e"', 'W/"e"', '"o"', 'W/"o"']), min_size=1, max_size=3)
DATES = st.sampled_from([-1, 0, 1]).map(
    lambda seconds: email.utils.format_datetime(EPOCH + datetime.timedelta(seconds=seconds), usegmt=True)
)


def model(conditions: dict[str, str]) -> int:
    """Return the status of a GET by RFC 9110 13.2.2, step by step."""
    strong, weak = ['"e"'], ['"e"', 'W/"e"']

    def matches(name: str, known: list[str]) -> bool:
        return conditions[name] == "*" or any(tag in known for tag in conditions[name].split(", "))

    def later_than(name: str) -> bool:
        return email.utils.parsedate_to_datetime(conditions[name]) < EPOCH

    if "If-Match" in conditions:
        if not matches("If-Match", strong):
            return 412
    elif "If-Unmodified-Since" in conditions and later_than("If-Unmodified-Since"):
        return 412
    if "If-None-Match" in conditions:
        return 304 if matches("If-None-Match", weak) else 200
    if "If-Modified-Since" in conditions and not later_than("If-Modified-Since"):
        return 304
    return 200


@given(
    conditions=st.fixed_dictionaries(
        {},
        optional={
            "If-Match": TAGS.map(", ".join) | st.just("*"),
            "If-None-Match": TAGS.map(", ".join) | st.just("*"),
            "If-Modified-Since": DATES,
            "If-Unmodified-Since": DATES,
        },
    )
)
def test_conditions_in_any_combination_follow_rfc_9110(conditions: dict[str, str]) -> None:
    """r1-B4, r1-B8"""
    try:
        status = 304 if HELD.are_current(Request.blank("/", headers=conditions)) else 200
    except PreconditionFailed:
        status = 412
    assert status == model(conditions)


@given(text=st.text(st.characters(min_codepoint=32, max_codepoint=255)))
def test_an_invalid_condition_never_breaks_a_request(text: str) -> None:
    """r1-B4"""
    for name in ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"):
        request = Request.blank("/", headers={name: text})
        HELD.allow_range(request)
        try:
            HELD.are_current(request)
        except PreconditionFailed:
            assert name in ("If-Match", "If-Unmodified-Since")


def test_bytes_without_a_known_digest_match_no_tag() -> None:
    """r1-B4: an image at an external location may have no digest."""
    nameless = Validators(None, EPOCH)
    for given_tag in ('"None"', '""', "None"):
        assert not nameless.allow_range(Request.blank("/", headers={"If-Range": given_tag}))
        with pytest.raises(PreconditionFailed):
            nameless.are_current(Request.blank("/", headers={"If-Match": given_tag}))
    assert nameless.are_current(Request.blank("/", headers={"If-None-Match": "*"}))
