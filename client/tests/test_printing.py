"""Sizes with units, and texts that do not change the terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype_client.cli.printing import human_size, printable, read_size


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 << 29, "1.5 GiB"), (1 << 60, "1024.0 PiB")],
)
def test_a_size_is_shown_with_its_unit(size: int, text: str) -> None:
    assert human_size(size) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ("20M", 20 << 20), ("20MiB", 20 << 20), ("1.5 g", 3 << 29), ("1kb", 1024), ("7 B", 7)],
)
def test_a_size_is_read_with_its_unit(text: str, size: int) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "fast", "-1", "1.2.3", "1 X", "1e9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_size(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("debian 12", "debian 12"),
        ("🐧 größer", "🐧 größer"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\nb\tc", "a\\x0ab\\x09c"),
        ("right\u202eleft", "right\\u202eleft"),
        ("\x9b31m", "\\x9b31m"),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_no_text_contains_an_escape_sequence(text: str) -> None:
    assert not set(printable(text)) & {chr(code) for code in (*range(32), *range(0x7F, 0xA0))}
