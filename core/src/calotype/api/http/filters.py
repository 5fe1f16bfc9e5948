"""Filters and sort orders in the query strings of lists: their limits, and parsing for all dialects."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from webob.multidict import MultiDict

from calotype.config.messages import not_one_of
from calotype.model.fields import InvalidRequest
from calotype.model.queries import SortKey

#: Maximum number of filters of one list, including tags and properties. The database evaluates each one.
FILTERS_MAX = 32
#: Maximum number of values of one filter; `in:a,b` has two.
VALUES_MAX = 1000
#: The fields that lists of images can be sorted by.
SORT_KEYS = ("container_format", "created_at", "disk_format", "id", "name", "size", "status", "updated_at")
DIRECTIONS = ("asc", "desc")
#: The pattern of an integer in a filter. 18 digits fit into a 64-bit integer.
INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)


def check_filters(count: int) -> None:
    """Check that a list may have `count` filters; raises InvalidRequest."""
    if count > FILTERS_MAX:
        raise InvalidRequest(f"A list can have at most {FILTERS_MAX} filters, including tags and properties.")


def check_values(name: str, count: int) -> None:
    """Check that the filter may have `count` values; raises InvalidRequest."""
    if count > VALUES_MAX:
        raise InvalidRequest(f"The filter {name} can have at most {VALUES_MAX} values.")


def choose(problem: str, text: str, choices: Sequence[str]) -> str:
    """Return the text if it is one of the choices.

    Raises:
        InvalidRequest: the text is not one of the choices. The message begins with `problem`.
    """
    if text not in choices:
        raise InvalidRequest(not_one_of(problem, text, choices))
    return text


def read_choice(query: MultiDict, name: str, choices: Sequence[str], default: str | None) -> str | None:
    """Return a parameter's value, or the default; raises InvalidRequest if it is not one of the choices."""
    return choose(f"Invalid {name}", query[name], choices) if name in query else default


def read_sort(query: MultiDict, fields: Mapping[str, str], problem: str = "Invalid") -> tuple[SortKey, ...]:
    """Return the requested sort key, followed by `created_at` and `id`, which make the order total.

    The query names the key as `sort_key`, and the direction of all keys as `sort_dir`.

    Args:
        fields: the field for each sort key that the client can name.
        problem: the words with which error messages begin.

    Raises:
        InvalidRequest: the sort key or the direction is unknown.
    """
    key = choose(f"{problem} sort_key", query.get("sort_key", "created_at"), tuple(fields))
    descending = choose(f"{problem} sort_dir", query.get("sort_dir", "desc"), DIRECTIONS) == "desc"
    return tuple(SortKey(name, descending) for name in dict.fromkeys((fields[key], "created_at", "id")))
