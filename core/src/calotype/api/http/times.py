"""Times in requests and responses: ISO 8601, in UTC."""

from __future__ import annotations

import datetime

from calotype.config.messages import quoted
from calotype.model.fields import InvalidRequest


def read_time(text: str) -> datetime.datetime:
    """Parse a date or a time, and return it in UTC. Without a zone, the text means UTC.

    Raises:
        ValueError: the text is not ISO 8601, or outside the years 1 to 9999.
    """
    moment = datetime.datetime.fromisoformat(text)
    try:
        return moment.replace(tzinfo=moment.tzinfo or datetime.UTC).astimezone(datetime.UTC)
    except OverflowError as error:
        raise ValueError from error


def read_query_time(problem: str, text: str) -> datetime.datetime:
    """Parse a time in a query string. Decoding may have turned the `+` before the zone into a blank.

    Raises:
        InvalidRequest: the text is not a time. The message begins with `problem`.
    """
    try:
        return read_time(text.replace(" ", "+"))
    except ValueError:
        raise InvalidRequest(
            f"{problem}: {quoted(text)} is not an ISO 8601 time, such as 2026-01-31T12:00:00Z."
        ) from None


def whole_seconds(moment: datetime.datetime) -> str:
    """Format a UTC time in whole seconds, with its zone."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def without_zone(moment: datetime.datetime | None) -> str | None:
    """Format a UTC time with microseconds and without its zone, as older clients expect; None stays None."""
    return None if moment is None else moment.replace(tzinfo=None).isoformat(timespec="microseconds")
