"""Helpers that wait until something has happened in another thread, process or server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_Seen = TypeVar("_Seen")


def wait_for(
    probe: Callable[[], _Seen],
    wanted: Callable[[_Seen], object] = bool,
    *,
    seconds: float = 60,
    pause: float = 0.02,
) -> _Seen:
    """Return the first result of `probe` that `wanted` accepts; fail with the last one after `seconds`."""
    end = time.monotonic() + seconds
    while not wanted(seen := probe()):
        assert time.monotonic() < end, seen
        time.sleep(pause)
    return seen
