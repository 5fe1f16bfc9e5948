"""Sizes and times have one syntax everywhere (r1-E5)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ByteSize, TypeAdapter, ValidationError

from calotype.config.quantities import Seconds, Size, parse_seconds, parse_size
from calotype.config.section import Section, read_settings
from calotype.stores import StoreOptions
from calotype.stores.options import read_options


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1024", 1024),
        ("512k", 512_000),
        ("512kB", 512_000),
        ("10GB", 10**10),
        ("10GiB", 10 << 30),
        ("10 gib", 10 << 30),
        ("1.5MiB", 3 << 19),
        ("0.1kB", 100),
        ("1T", 10**12),
        ("16EiB", 16 << 60),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_a_size_is_bytes_or_has_a_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("0.5", 0.5), ("30s", 30), ("5m", 300), ("2h", 7200), ("1.5 H", 5400), ("7d", 604800)],
)
def test_a_time_is_seconds_or_has_a_unit(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "ten", "1.5", "1,5GiB", "10GiB/s", "10 Gbit", "-1", "1e3", "0x10", "GiB", "nan", "\u0661k"]
)
def test_text_that_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["", "soon", "5 weeks", "1h30m", "-1", "inf", "nan", "1e3", "9" * 400])
def test_text_that_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a time"):
        parse_seconds(text)


@given(st.integers(0, 1 << 70))
def test_a_plain_number_of_bytes_is_kept_exactly(size: int) -> None:
    assert parse_size(str(size)) == size


@given(
    st.integers(0, 1000), st.sampled_from(sorted(unit for unit in ByteSize.byte_sizes if "bit" not in unit))
)
def test_a_size_can_have_each_unit_that_pydantic_accepts(number: int, unit: str) -> None:
    assert parse_size(f"{number}{unit.upper()}") == TypeAdapter(ByteSize).validate_python(f"{number}{unit}")


@given(st.text(max_size=20))
def test_any_text_is_either_parsed_as_a_quantity_or_refused(text: str) -> None:
    for parse in (parse_size, parse_seconds):
        with contextlib.suppress(ValueError):
            assert parse(text) >= 0


class Options(StoreOptions):
    """Options of a third-party driver."""

    room: Size = ByteSize(0)
    patience: Seconds = 1


def test_quantities_have_the_same_syntax_in_settings_of_the_core_the_server_and_drivers() -> None:
    given = {"sqlalchemy.url": "sqlite://", "calotype.image_size_cap": "10GiB", "calotype.lease": "2m"}
    settings = read_settings({}, given)
    assert (settings.image_size_cap, settings.lease) == (10 << 30, 120)
    server = Section("server", {"recv_bytes": "64KiB", "drain_timeout": "1m"}, {})
    values = server.read({"recv_bytes": parse_size, "drain_timeout": parse_seconds})
    assert values == {"recv_bytes": 65536, "drain_timeout": 60}
    options = read_options("x", Options, {"room": "10GiB", "patience": "5m"})
    assert (options.room, options.patience) == (10 << 30, 300)


def test_a_quantity_that_is_already_a_number_is_unchanged() -> None:
    assert Options(room=5, patience=0.5).room == 5
    with pytest.raises(ValidationError):
        Options(room=[])
