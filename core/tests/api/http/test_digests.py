"""Reading the headers with digests, and the wishes for them."""

from __future__ import annotations

import contextlib
import datetime

import http_sf
from hypothesis import example, given
from hypothesis import strategies as st

from calotype.api.http.digests import declared_digests, wanted_digests
from calotype.api.http.request import Request
from calotype.model.fields import InvalidRequest
from calotype.model.images import Image
from calotype.model.states import Status

SIZES = {"sha-256": 32, "sha-512": 64}
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
HEX = "0123456789abcdef" * 4
IMAGE = Image("i", Status.ACTIVE, NOW, NOW, os_hash_algo="sha256", os_hash_value=HEX)
#: Any header that a server accepts, and text that nearly is a dictionary.
TEXT = st.one_of(
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0")),
    st.text('sha-2561,=:();"x?@ /+AB\t', max_size=40),
)


def asking(**headers: str) -> Request:
    return Request.blank("/", headers={name.replace("_", "-"): text for name, text in headers.items()})


@given(st.fixed_dictionaries({}, optional={k: st.binary(min_size=n, max_size=n) for k, n in SIZES.items()}))
def test_written_digests_are_read_back(digests: dict[str, bytes]) -> None:
    text = http_sf.ser({key: (value, {}) for key, value in digests.items()}) if digests else ""
    found = declared_digests(asking(Content_Digest=text, Repr_Digest=text))

    assert found == {key.replace("-", ""): value.hex() for key, value in digests.items()}


@given(TEXT)
@example(":" * 900)
@example("a=:" + "A" * 900)
@example("a;" * 400)
def test_any_header_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        assert set(declared_digests(asking(Repr_Digest=text))) <= {"sha256", "sha512"}


@given(TEXT)
@example("sha-256=1" + ",x" * 400)
def test_any_wish_is_granted_or_ignored(text: str) -> None:
    found = dict(wanted_digests(asking(Want_Repr_Digest=text), IMAGE))

    assert found in ({}, {"Repr-Digest": "sha-256=:ASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4mrze8=:"})


@given(st.integers(-20, 20))
def test_a_wish_has_a_weight_from_1_to_10(weight: int) -> None:
    assert bool(wanted_digests(asking(Want_Repr_Digest=f"sha-256={weight}"), IMAGE)) is (1 <= weight <= 10)
