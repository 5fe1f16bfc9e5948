"""A bar chart as SVG with a bar for each peer in each line of the table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from figures import Figures, Row

COLOURS = ("#2f6f8f", "#c8553d", "#e0a030", "#8a8f98")
LEFT, WIDTH, BAR, GAP, TOP = 330, 900, 13, 16, 64
LONGEST = WIDTH - LEFT - 110


def draw(title: str, rows: Sequence[Row], peers: Sequence[str], figures: Figures) -> str:
    """Return the chart as SVG text."""
    height = TOP + len(rows) * (len(peers) * BAR + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        _text(12, 22, title, 'font-size="15" font-weight="bold"'),
    ]
    for number, peer in enumerate(peers):
        left = LEFT + number * 120
        parts += [_bar(left, 36, 11, COLOURS[number]), _text(left + 16, 46, peer)]
    for number, row in enumerate(rows):
        parts += _group(row, peers, figures, TOP + number * (len(peers) * BAR + GAP))
    return "\n".join([*parts, "</svg>", ""])


def _group(row: Row, peers: Sequence[str], figures: Figures, top: float) -> list[str]:
    """Return the bars of one row. The longest bar fills the width."""
    found = {peer: figures.median(row.key, peer) for peer in peers}
    most = max((figure for figure in found.values() if figure), default=1)
    better = "" if row.more else ", less is better"
    parts = [_text(LEFT - 12, top + 14, row.what, 'text-anchor="end"')]
    parts.append(_text(LEFT - 12, top + 29, row.unit + better, 'text-anchor="end" fill="#777"'))
    for number, figure in enumerate(found.values()):
        y = top + number * BAR
        length = LONGEST * (figure or 0) / most
        label = "-" if figure is None else f"{figure:,.{row.digits}f}"
        parts.append(_bar(LEFT, y, max(length, 1), COLOURS[number], BAR - 2))
        parts.append(_text(LEFT + length + 6, y + 10, label, 'font-size="10"'))
    return parts


def _bar(x: float, y: float, width: float, colour: str, height: float = 11) -> str:
    return f'<rect x="{x}" y="{y}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" {style}>{escape(text)}</text>'
