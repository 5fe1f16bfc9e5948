"""Curves as SVG: both axes are logarithmic, and each curve has its name at its end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#2f6f8f", "#c8553d", "#e0a030", "#5b8c5a", "#7b5ea7", "#8a8f98", "#b3446c", "#1b998b", "#444444")
WIDTH, HEIGHT = 900, 460
LEFT, RIGHT, TOP, BOTTOM = 70, 640, 50, 410

Curve = Sequence[tuple[float, float]]


def draw(title: str, across: str, up: str, curves: Mapping[str, Curve]) -> str:
    """Return the curves as SVG text. `across` and `up` name the axes. All values must be positive."""
    points = [point for curve in curves.values() for point in curve]
    horizontal = _Axis([x for x, _ in points], LEFT, RIGHT)
    vertical = _Axis([y for _, y in points], BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(12, 22, title, 'font-size="15" font-weight="bold"'),
        _text(LEFT, 42, up, 'fill="#777"'),
        _text(RIGHT, HEIGHT - 12, across, 'fill="#777" text-anchor="end"'),
    ]
    for value in sorted({x for x, _ in points}):
        parts.append(_text(horizontal.place(value), BOTTOM + 18, f"{value:,.0f}", 'text-anchor="middle"'))
    for value in vertical.decades():
        y = vertical.place(value)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{value:,g}", 'text-anchor="end"'))
    heights = _spread([vertical.place(curve[-1][1]) for curve in curves.values()])
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = " ".join(f"{horizontal.place(x):.1f},{vertical.place(y):.1f}" for x, y in curve)
        parts.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(RIGHT + 12, heights[number] + 4, name, f'fill="{colour}"'))
    return "\n".join([*parts, "</svg>", ""])


class _Axis:
    """A logarithmic axis from `begin` to `end` that covers whole decades upwards from the least value."""

    def __init__(self, values: Sequence[float], begin: float, end: float):
        self._least = math.floor(math.log10(min(values)))
        self._most = max(math.ceil(math.log10(max(values))), self._least + 1)
        self._begin, self._end = begin, end

    def place(self, value: float) -> float:
        """Return the coordinate of a value."""
        share = (math.log10(value) - self._least) / (self._most - self._least)
        return self._begin + share * (self._end - self._begin)

    def decades(self) -> list[float]:
        """Return the powers of ten on the axis."""
        return [10.0**power for power in range(self._least, self._most + 1)]


def _spread(heights: Sequence[float]) -> list[float]:
    """Move heights apart, so that no two names overlap."""
    moved, above = list(heights), -math.inf
    for number in sorted(range(len(heights)), key=lambda one: heights[one]):
        moved[number] = above = max(heights[number], above + 15)
    return moved


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" {style}>{escape(text)}</text>'
