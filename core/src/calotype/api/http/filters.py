"""What the filters of a list may cost: how many there may be, and how many values each may have."""

from __future__ import annotations

from calotype.model.changes import InvalidRequest

#: Filters of one list, tags and properties among them. Each is a condition that the database looks at.
FILTERS_MAX = 32
#: Values of one filter, as of `in:a,b`.
VALUES_MAX = 1000


def check_filters(count: int) -> None:
    """Return if a list may have so many filters; raises InvalidRequest."""
    if count > FILTERS_MAX:
        raise InvalidRequest(f"A list has at most {FILTERS_MAX} filters, tags and properties among them.")


def check_values(name: str, count: int) -> None:
    """Return if a filter may have so many values; raises InvalidRequest."""
    if count > VALUES_MAX:
        raise InvalidRequest(f"The filter {name} has at most {VALUES_MAX} values.")
