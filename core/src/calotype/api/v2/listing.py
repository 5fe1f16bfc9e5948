"""Read the query string of `GET /v2/images`.

Parameters for sorting and paging have fixed names. A parameter with the name of a field filters by that
field, and any other parameter filters by a property. A value can begin with an operator, such as `in:a,b` or
`gte:2026-01-01`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator

from webob.multidict import MultiDict

from calotype.api.http.filters import (
    DIRECTIONS,
    INTEGER,
    SORT_KEYS,
    check_filters,
    check_values,
    choose,
    read_choice,
)
from calotype.api.http.meta_headers import number_of
from calotype.api.http.paging import VALUES, read_image_marker, read_limit
from calotype.api.http.request import Request
from calotype.api.http.times import read_query_time
from calotype.config.messages import quoted
from calotype.model.fields import InvalidRequest
from calotype.model.images import MemberStatus, Visibility
from calotype.model.policy import scope_of
from calotype.model.queries import Condition, ImageQuery, SortKey

_PAGING = frozenset({"limit", "marker", VALUES, "sort", "sort_key", "sort_dir"})
_TEXTS = frozenset({"name", "id", "status", "container_format", "disk_format"})
_PLAIN_TEXTS = frozenset({"owner", "checksum", "os_hash_algo", "os_hash_value"})
_INTEGERS = frozenset({"size", "virtual_size", "min_disk", "min_ram"})
_MOMENTS = frozenset({"created_at", "updated_at"})
_OPERATORS = frozenset({"in", "eq", "neq", "gt", "gte", "lt", "lte"})
_FLAGS = ("true", "false")
_BOUNDS = {"_min": "gte", "_max": "lte"}
#: The parameters of the query with a name of their own. Any other parameter filters by a property.
QUERY = (
    *("limit", "marker", "sort", "sort_key", "sort_dir", "visibility", "os_hidden", "member_status", "tag"),
    *("protected", *sorted(_TEXTS | _PLAIN_TEXTS | _INTEGERS | _MOMENTS)),
    *(f"{name}{bound}" for name in sorted(_INTEGERS) for bound in _BOUNDS),
)
_ITEM = re.compile(r'"([^"]*)"|([^",]*)')
_SECOND = datetime.timedelta(seconds=1)
_LAST_SECOND = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)


def read_listing(request: Request, most: int) -> ImageQuery:
    """Return the query for at most `most` images; raises InvalidRequest."""
    query = request.GET
    caller = request.caller
    visibility = read_choice(query, "visibility", (*map(str, Visibility), "all"), None)
    hidden = choose("Invalid os_hidden", query.get("os_hidden", "false").lower(), _FLAGS) == "true"
    conditions = [Condition("os_hidden", "eq", hidden)]
    if visibility not in (None, "all"):
        conditions.append(Condition("visibility", "eq", visibility))
    filters, tags, properties = [*_conditions(query)], {*query.getall("tag")}, _properties(query)
    check_filters(len(filters) + len(tags) + len(properties))
    sort = _sort(query)
    return ImageQuery(
        scope_of(caller),
        project=caller.project,
        memberships=_memberships(query),
        community=visibility in ("community", "all"),
        conditions=(*conditions, *filters),
        tags=tuple(sorted(tags)),
        properties=properties,
        sort=sort,
        limit=read_limit(query, most),
        after=read_image_marker(request, sort, "Invalid marker: there is no such image."),
    )


def _memberships(query: MultiDict) -> frozenset[MemberStatus]:
    asked = read_choice(query, "member_status", (*map(str, MemberStatus), "all"), "accepted")
    return frozenset(MemberStatus) if asked == "all" else frozenset({MemberStatus(str(asked))})


def _conditions(query: MultiDict) -> Iterator[Condition]:
    for name, text in query.items():
        if name == "changes-since":
            raise InvalidRequest(
                "changes-since is not a filter of this version. Use updated_at=gt:TIME instead."
            )
        if name == "protected":
            yield Condition(name, "eq", choose(f"Invalid {name}", text, _FLAGS) == "true")
        elif name in _TEXTS:
            yield _text_condition(name, text)
        elif name in _PLAIN_TEXTS:
            yield Condition(name, "eq", text)
        elif name in _INTEGERS:
            yield Condition(name, "eq", _integer(name, text))
        elif name in _MOMENTS:
            yield _moment_condition(name, text)
        elif name[-4:] in _BOUNDS:
            if name[:-4] not in _INTEGERS:
                raise InvalidRequest(
                    f"Invalid filter {name[:80]}: only size, virtual_size, min_disk and min_ram have bounds."
                )
            yield Condition(name[:-4], _BOUNDS[name[-4:]], _integer(name, text))


def _properties(query: MultiDict) -> dict[str, str]:
    own = _PAGING | _TEXTS | _PLAIN_TEXTS | _INTEGERS | _MOMENTS
    own |= {"visibility", "os_hidden", "member_status", "protected", "tag"}
    return {name: text for name, text in query.items() if name not in own and name[-4:] not in _BOUNDS}


def _text_condition(name: str, text: str) -> Condition:
    operator, value = _operator(text)
    if operator == "in":
        return Condition(name, "in", _items(name, value))
    choose(f"Invalid operator of the filter {name}", operator, ("in", "eq"))
    return Condition(name, "eq", value)


def _operator(text: str) -> tuple[str, str]:
    operator, colon, value = text.partition(":")
    return (operator, value) if colon and operator in _OPERATORS else ("eq", text)


def _items(name: str, text: str) -> list[str]:
    """Return the items of a list such as `a,"b,c"`."""
    items: list[str] = []
    position = 0
    while match := _ITEM.match(text, position):
        items.append(match[1] if match[1] is not None else match[2])
        check_values(name, len(items))
        position = match.end()
        if position == len(text):
            return items
        if text[position] != ",":
            break
        position += 1
    raise InvalidRequest(
        f"Invalid filter {name}: a quote is not closed, or the quotes do not enclose a whole item."
    )


def _moment_condition(name: str, text: str) -> Condition:
    """Return a condition that compares times in whole seconds, because documents show whole seconds."""
    operator, value = _operator(text)
    first = read_query_time(f"Invalid filter {name}", value).replace(microsecond=0)
    after = first + _SECOND if first < _LAST_SECOND else _LAST_SECOND
    meaning: dict[str, tuple[str, object]] = {
        "gt": ("gte", after),
        "gte": ("gte", first),
        "lt": ("lt", first),
        "lte": ("lt", after),
        "eq": ("within", (first, after)),
        "neq": ("outside", (first, after)),
    }
    choose(f"Invalid operator of the filter {name}", operator, tuple(meaning))
    return Condition(name, *meaning[operator])


def _integer(name: str, text: str) -> int:
    if not INTEGER.fullmatch(text):
        raise InvalidRequest(f"Invalid filter {name[:80]}: it is {number_of(name)}, not {quoted(text)}.")
    return int(text)


def _sort(query: MultiDict) -> tuple[SortKey, ...]:
    """Return the sort keys of the query, then `created_at` and `id`, which make the order total.

    The added keys have the direction of the last key of the query. A repeated field is ignored, because it
    cannot change the order.
    """
    keys: dict[str, SortKey] = {}
    for key in _sort_pairs(query):
        keys.setdefault(key.field, key)
    last = list(keys.values())[-1].descending if keys else True
    for name in ("created_at", "id"):
        keys.setdefault(name, SortKey(name, last))
    return tuple(keys.values())


def _sort_pairs(query: MultiDict) -> list[SortKey]:
    if "sort" in query:
        if "sort_key" in query or "sort_dir" in query:
            raise InvalidRequest("Sort by sort, or by sort_key and sort_dir, but not by both.")
        pairs = [item.partition(":")[::2] for item in dict.fromkeys(query["sort"].split(","))]
        return [_sort_key(name.strip(), direction.strip() or "desc") for name, direction in pairs]
    names, directions = query.getall("sort_key"), query.getall("sort_dir")
    if len(directions) > 1 and len(directions) != len(names):
        raise InvalidRequest("Give one sort_dir for all keys, or one for each.")
    if not names:
        names = ["created_at"] if directions else []
    directions = directions or ["desc"]
    if len(directions) == 1:
        directions *= len(names)
    return [_sort_key(name, direction) for name, direction in zip(names, directions, strict=True)]


def _sort_key(name: str, direction: str) -> SortKey:
    choose("Invalid sort key", name, SORT_KEYS)
    return SortKey(name, choose("Invalid sort direction", direction, DIRECTIONS) == "desc")
