"""Filters and sort orders in the query strings of lists: what they may cost, and how dialects read them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from webob.multidict import MultiDict

from calotype.config.messages import not_one_of
from calotype.model.fields import InvalidRequest
from calotype.model.queries import SortKey

#: Filters of one list, including tags and properties. Each is a condition that the database evaluates.
FILTERS_MAX = 32
#: Values of one filter, such as `in:a,b`.
VALUES_MAX = 1000
#: The fields that lists of images can be sorted by.
SORT_KEYS = ("container_format", "created_at", "disk_format", "id", "name", "size", "status", "updated_at")
DIRECTIONS = ("asc", "desc")
#: A number that a filter compares with; 18 digits fit into every column.
INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)


def check_filters(count: int) -> None:
    """Check that a list may have so many filters; raises InvalidRequest."""
    if count > FILTERS_MAX:
        raise InvalidRequest(f"A list can have at most {FILTERS_MAX} filters, including tags and properties.")


def check_values(name: str, count: int) -> None:
    """Check that a filter may have so many values; raises InvalidRequest."""
    if count > VALUES_MAX:
        raise InvalidRequest(f"The filter {name} can have at most {VALUES_MAX} values.")


def choose(problem: str, text: str, choices: Sequence[str]) -> str:
    """Return the text if it is one of the choices.

    Raises:
        InvalidRequest: it is not; the message begins with `problem`.
    """
    if text not in choices:
        raise InvalidRequest(not_one_of(problem, text, choices))
    return text


def read_choice(query: MultiDict, name: str, choices: Sequence[str], default: str | None) -> str | None:
    """Return the value of a parameter, which must be one of the choices; raises InvalidRequest."""
    return choose(f"Invalid {name}", query[name], choices) if name in query else default


def read_sort(query: MultiDict, fields: Mapping[str, str], problem: str = "Invalid") -> tuple[SortKey, ...]:
    """Return the order that `sort_key` and `sort_dir` ask for, with two more keys that make it total.

    Args:
        fields: sort key -> field.
        problem: the beginning of messages.

    Raises:
        InvalidRequest: one of the two is unknown.
    """
    key = choose(f"{problem} sort_key", query.get("sort_key", "created_at"), tuple(fields))
    descending = choose(f"{problem} sort_dir", query.get("sort_dir", "desc"), DIRECTIONS) == "desc"
    return tuple(SortKey(name, descending) for name in dict.fromkeys((fields[key], "created_at", "id")))
