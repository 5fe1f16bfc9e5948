"""The query strings of v1's lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from webob.multidict import MultiDict

from calotype.api.http import operations
from calotype.api.http.filters import DIRECTIONS, INTEGER, SORT_KEYS, check_filters, read_sort
from calotype.api.http.meta_headers import number_of
from calotype.api.http.paging import LIMIT_RULE, NO_MARKER, read_image_marker, read_limit
from calotype.api.http.request import Request
from calotype.api.http.times import read_query_time
from calotype.model.fields import InvalidRequest, canonical_id
from calotype.model.images import MemberStatus, Visibility
from calotype.model.queries import SHOWN, Condition, ImageQuery, Scope, SortKey
from calotype.model.states import Status

_EXACT = ("name", "status", "container_format", "disk_format")
_FLAGS = {"true": True, "1": True, "false": False, "0": False}

#: The parameters of a list. A parameter `property-NAME` filters by a property.
PARAMETERS: Mapping[str, operations.Schema] = {
    **operations.PAGE,
    **dict.fromkeys((*_EXACT, "is_public", "protected", "changes-since"), operations.STRING),
    **dict.fromkeys(("size_min", "size_max", "min_ram", "min_disk"), operations.INTEGER),
    "sort_key": {"type": "string", "enum": SORT_KEYS},
    "sort_dir": {"type": "string", "enum": DIRECTIONS},
}


def read_listing(request: Request, most: int) -> ImageQuery:
    """Return the query for at most `most` images; raises InvalidRequest.

    Unknown parameters are ignored.
    """
    query = request.GET
    sort = read_sort(query, {name: name for name in SORT_KEYS}, "Unsupported")
    deleted = "changes-since" in query
    public = _is_public(query)
    sees_all = public is not True and request.caller.is_admin
    properties = {
        name.removeprefix("property-"): value for name, value in query.items() if name.startswith("property-")
    }
    conditions = _conditions(query)
    if sees_all and public is False:
        conditions.append(Condition("visibility", "neq", Visibility.PUBLIC))
    check_filters(len(conditions) + len(properties))
    conditions.append(SHOWN)
    if not deleted:
        conditions.append(Condition("status", "neq", Status.KILLED))
    return ImageQuery(
        scope=Scope.ALL if sees_all else Scope.VISIBLE,
        project=request.caller.project,
        memberships=frozenset(MemberStatus),
        community=sees_all,
        deleted=deleted,
        conditions=tuple(conditions),
        properties=properties,
        sort=sort,
        limit=read_limit(query, most, rule=LIMIT_RULE),
        after=_after(request, sort),
    )


def _is_public(query: MultiDict) -> bool | None:
    """Return the filter `is_public`: True (the default), False, or None to list public and other images."""
    if query.get("is_public", "true").lower() == "none":
        return None
    return _flag("is_public", query.get("is_public", "true"), ", none")


def _conditions(query: MultiDict) -> list[Condition]:
    found = [Condition(name, "eq", query[name]) for name in _EXACT if name in query]
    for name, column, op in (
        ("size_min", "size", "gte"),
        ("size_max", "size", "lte"),
        ("min_ram", "min_ram", "eq"),
        ("min_disk", "min_disk", "eq"),
    ):
        if name in query:
            found.append(Condition(column, op, _number(name, query[name])))
    if "protected" in query:
        found.append(Condition("protected", "eq", _flag("protected", query["protected"])))
    if "changes-since" in query:
        since = read_query_time("Unrecognized changes-since value", query["changes-since"])
        found.append(Condition("updated_at", "gt", since))
    return found


def _flag(name: str, text: str, others: str = "") -> bool:
    if text.lower() not in _FLAGS:
        raise InvalidRequest(
            f"Bad value passed to filter {name} got {text[:40]}; one of: {', '.join(_FLAGS)}{others}."
        )
    return _FLAGS[text.lower()]


def _number(name: str, text: str) -> int:
    if not INTEGER.fullmatch(text) or int(text) < 0:
        raise InvalidRequest(f"Bad value passed to filter {name} got {text[:40]}: it is {number_of(name)}.")
    return int(text)


def _after(request: Request, sort: Sequence[SortKey]) -> Mapping[str, Any] | None:
    marker = request.GET.get("marker")
    if marker is not None and canonical_id(marker) is None:
        raise InvalidRequest(
            "Invalid marker format: a marker is the id of the last image on the previous page."
        )
    return read_image_marker(request, sort, NO_MARKER, deleted=True)
