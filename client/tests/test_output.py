"""Tables on terminals of any width: no size and no id is cut."""

from __future__ import annotations

import pytest

from calotype_client.cli import output
from calotype_client.cli.printing import cut_to_width, text_width
from calotype_client.cli.session import Session

COLUMNS = ("id", "name", "status", "size", "disk_format", "visibility")
IMAGES = [
    {"id": "8ea37a10-aaaa", "name": "web", "status": "active", "size": 400 << 20, "disk_format": "raw"},
    {"id": "b6c9b06e-bbbb", "name": "a-very-long-name-" * 6, "status": "queued", "size": 2 << 30},
    {"id": "c03e98ec-cccc", "name": "größer 🐧 größer " * 5, "status": "active", "size": None},
]


def table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int | None
) -> list[str]:
    """Return the lines of a table on a terminal of this width."""
    monkeypatch.setattr(output, "terminal_width", lambda: width)
    output.show_records(Session(), IMAGES, COLUMNS)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [30, 40, 50, 60, 80, 120])
def test_a_table_fits_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    lines = table(monkeypatch, capsys, width)

    assert max(map(text_width, lines)) <= width
    assert all(image["id"][:8] in line for image, line in zip(IMAGES, lines[1:], strict=True))
    if width >= 60:
        assert ("400.0 MiB" in lines[1], "2.0 GiB" in lines[2], "queued" in lines[2]) == (True, True, True)
    assert all("…" in line for line in lines[2:])


def test_a_pipe_gets_whole_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = table(monkeypatch, capsys, None)

    assert "a-very-long-name-" * 6 in lines[2]
    assert lines[0].split() == ["id", "name", "status", "size", "disk", "format", "visibility"]


@pytest.mark.parametrize(
    ("text", "width"), [("abc", 3), ("größer", 6), ("🐧", 2), ("日本", 4), ("e\u0301", 1)]
)
def test_the_width_of_a_text_is_counted_in_columns(text: str, width: int) -> None:
    assert text_width(text) == width
    assert cut_to_width(text, width) == text
    assert text_width(cut_to_width(text, width - 1)) <= width - 1
