"""Sizes and times as text: one syntax for settings, the server, and the options of drivers and commands.

A size is a number of bytes, or a number with a unit: kB, MB, GB, TB, PB are powers of 1000, and KiB, MiB,
GiB, TiB, PiB are powers of 1024; `512k` is 512 kB. A time is a number of seconds, or a number with a unit: s,
m, h, d. The case of units does not matter. See docs/configuration.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, ByteSize

_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([a-z]*)\s*", re.ASCII | re.I)
_BYTES = {unit: factor for unit, factor in ByteSize.byte_sizes.items() if "bit" not in unit}
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
#: The longest time that is accepted, in seconds.
_LONGEST = 1e12


def parse_size(text: str | int) -> int:
    """Return the number of bytes.

    Raises:
        ValueError: the text is not a size; the message says what a size looks like.
    """
    if not isinstance(text, str):
        return int(text)
    match = _NUMBER.fullmatch(text)
    factor = _BYTES.get(match[2].lower() or "b") if match else None
    if match is None or factor is None or not (float(match[1]) * factor).is_integer():
        raise ValueError(
            "must be a size: a number of bytes, or one with a unit, such as 512k, 10MiB or 1.5GB"
        )
    whole, _, fraction = match[1].partition(".")
    # Compute in integers: a float cannot hold sizes near an exabyte exactly.
    return int(whole + fraction) * int(factor) // 10 ** len(fraction)


def parse_seconds(text: str | float) -> float:
    """Return the number of seconds.

    Raises:
        ValueError: the text is not a time; the message says what a time looks like.
    """
    if isinstance(text, str):
        match = _NUMBER.fullmatch(text)
        factor = _SECONDS.get(match[2].lower()) if match else None
        seconds = float(match[1]) * factor if match and factor else math.nan
    else:
        seconds = float(text)
    if not abs(seconds) <= _LONGEST:
        raise ValueError("must be a time: a number of seconds, or one with a unit, such as 30s, 5m, 2h or 7d")
    return seconds


def _before(parse: Callable[[Any], float]) -> BeforeValidator:
    """Return a validator that parses text, and leaves other values to pydantic."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


#: Types of settings and options: a number of bytes, and a number of seconds.
Size = Annotated[ByteSize, _before(parse_size)]
Seconds = Annotated[float, _before(parse_seconds)]
