"""Times in requests and responses: ISO 8601, in UTC."""

from __future__ import annotations

import datetime

from calotype.config.messages import quoted
from calotype.model.fields import InvalidRequest


def read_time(text: str) -> datetime.datetime:
    """Return a date or a time in UTC; a text without a zone is in UTC already.

    Raises:
        ValueError: the text is not ISO 8601, or outside the years 1 to 9999.
    """
    moment = datetime.datetime.fromisoformat(text)
    try:
        return moment.replace(tzinfo=moment.tzinfo or datetime.UTC).astimezone(datetime.UTC)
    except OverflowError as error:
        raise ValueError from error


def read_query_time(problem: str, text: str) -> datetime.datetime:
    """Return a time of a query string, in which a `+` before the zone may have become a blank.

    Raises:
        InvalidRequest: it is not a time; the message begins with `problem`.
    """
    try:
        return read_time(text.replace(" ", "+"))
    except ValueError:
        raise InvalidRequest(
            f"{problem}: {quoted(text)} is not an ISO 8601 time, such as 2026-01-31T12:00:00Z."
        ) from None


def whole_seconds(moment: datetime.datetime) -> str:
    """Write a UTC time in whole seconds, with its zone."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def without_zone(moment: datetime.datetime | None) -> str | None:
    """Write a UTC time in microseconds without its zone, as older clients expect; None for None."""
    return None if moment is None else moment.replace(tzinfo=None).isoformat(timespec="microseconds")
