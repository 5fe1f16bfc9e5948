"""The kinds of settings: functions that parse a value or its text. Invalid input raises ValueError."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable
from typing import Any

from waitress.adjustments import KNOWN_PROXY_HEADERS

from calotype_server.cores import usable

#: The address that waitress gives to every client of a Unix socket.
UNIX_PEER = "localhost"
_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "off", "0"})


def count(value: Any) -> int:
    """Read a whole number."""
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ValueError("must be a whole number") from None


def process_count(value: Any) -> int:
    """Read a number of processes. `auto` is the number of cores that this process may use."""
    if str(value).strip().lower() == "auto":
        return usable()
    try:
        return count(value)
    except ValueError:
        raise ValueError("must be a whole number, or auto") from None


def size(value: Any) -> int:
    """Read a number of bytes."""
    return count(value)


def seconds(value: Any) -> float:
    """Read a number of seconds."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("must be a number of seconds")
    return number


def flag(value: Any) -> bool:
    """Read a boolean.

    Text that is not a boolean raises ValueError, because waitress's own cast would read it as false.
    """
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError("must be true or false")
    return text in _TRUE


def names(value: str | Iterable[str]) -> tuple[str, ...]:
    """Read names from text with blanks between them, or from an iterable of names."""
    return tuple(value.split() if isinstance(value, str) else value)


def addresses(value: str | Iterable[str]) -> frozenset[str]:
    """Read IP addresses from text with blanks between them, or from an iterable."""
    try:
        return frozenset(str(ipaddress.ip_address(address)) for address in names(value))
    except ValueError:
        raise ValueError("must be IP addresses, such as 127.0.0.1 ::1") from None


def mode(value: Any) -> int:
    """Read a file's permissions, written in octal."""
    try:
        return int(value, 8)
    except ValueError:
        raise ValueError("must be permissions in octal, such as 660") from None


def proxy(value: Any) -> str | None:
    """Read a proxy's address in the form that waitress compares: an IP address, or * for every client."""
    text = str(value or "").strip()
    if text in ("", "*", UNIX_PEER):
        return text or None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("must be an IP address, such as 127.0.0.1, or * for every client") from None


def proxy_headers(value: str | Iterable[str]) -> set[str]:
    """Read the names of headers that proxies set, from text with blanks between them or from an iterable."""
    found = {name.lower() for name in names(value)}
    others = KNOWN_PROXY_HEADERS - {"forwarded"}
    if found != {"forwarded"} and not found <= others:
        raise ValueError(f"must be forwarded alone, or one or more of {' '.join(sorted(others))}")
    return found
