"""Texts as people read them on a terminal: sizes, and names without control characters."""

from __future__ import annotations

import re
import unicodedata

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?", re.I)


#: Characters without a width: they join emoji, or choose their form.
_JOINERS = "\u200d\ufe0e\ufe0f"


def human_size(size: int) -> str:
    """Return a number of bytes with a unit, such as `1.5 GiB`."""
    value, unit = float(size), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{size} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def read_size(text: str) -> int:
    """Return the bytes that a text such as `20M`, `1.5 GiB` or `4096` means; raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    power = "kmgtp".index(match[2].lower()) + 1 if match[2] else 0
    return int(float(match[1]) * 1024**power)


def printable(text: str, keep: str = "") -> str:
    """Return the text with escapes for characters that would change the terminal or the line."""
    return "".join(
        character if character in keep or _is_plain(character) else _escaped(character) for character in text
    )


def _is_plain(character: str) -> bool:
    # Categories: Cc controls, Cf formats such as those that turn the direction, Cs surrogates, Z separators.
    if character in _JOINERS:
        return True
    category = unicodedata.category(character)
    return character == " " or (category not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def text_width(text: str) -> int:
    """Return the columns of a terminal that a text takes."""
    return sum(map(_width, text))


def cut_to_width(text: str, width: int) -> str:
    """Return the beginning of a text that takes at most `width` columns of a terminal."""
    taken = 0
    for place, character in enumerate(text):
        taken += _width(character)
        if taken > width:
            return text[:place]
    return text


def _width(character: str) -> int:
    if unicodedata.combining(character) or character in _JOINERS:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
