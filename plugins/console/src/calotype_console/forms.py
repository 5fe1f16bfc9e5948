"""Read what the forms of the pages send: filters of the list, and fields of an image."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from pyramid.httpexceptions import HTTPUnsupportedMediaType
from webob.multidict import MultiDict

from calotype.api.http.json_input import read_short_body
from calotype.api.http.paging import read_image_marker, read_limit
from calotype.api.http.request import Request
from calotype.config.messages import quoted
from calotype.model.errors import Conflict
from calotype.model.fields import ImageFields, InvalidRequest
from calotype.model.images import Image, MemberStatus, Visibility
from calotype.model.policy import scope_of
from calotype.model.queries import SHOWN, Condition, ImageQuery, SortKey
from calotype.model.states import Status

#: The choices of the list's order: its name in the query -> label and sort keys.
SORTS = {
    "newest": ("Newest first", (SortKey("created_at", descending=True), SortKey("id", descending=True))),
    "oldest": ("Oldest first", (SortKey("created_at"), SortKey("id"))),
    "name": ("By name", (SortKey("name"), SortKey("id"))),
    "largest": ("Largest first", (SortKey("size", descending=True), SortKey("id", descending=True))),
}
#: The filters of the list that name a field of an image.
_CHOICES = {"status": [*map(str, Status)], "visibility": [*map(str, Visibility)]}
#: The last character of Unicode: names that begin with a text sort before the text followed by it.
_LAST = "\U0010ffff"
_FORM = "application/x-www-form-urlencoded"
#: Maximum number of fields of a form. The longest has about 20.
_FIELDS_MAX = 100
#: Maximum number of images on a page, which keeps it below 100 KiB.
_LIMIT_MAX = 50
_SEEN = "%Y-%m-%dT%H:%M:%S.%f"


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of the list: the query, and the choices that the form shows again."""

    query: ImageQuery
    sort: str
    text: str
    chosen: dict[str, str]

    @property
    def is_filtered(self) -> bool:
        """True if the form excludes some images."""
        return bool(self.text or self.chosen)


def read_listing(request: Request) -> Listing:
    """Return the page of the list that the query of the URL asks for.

    Raises:
        InvalidRequest: a filter has a value that it cannot have.
    """
    given = {name: text.strip() for name, text in request.GET.items() if text.strip()}
    if any("\0" in text for text in given.values()):  # PostgreSQL texts cannot contain NUL
        raise InvalidRequest("A filter cannot contain control characters.")
    text = given.get("q", "")
    chosen = {name: given[name] for name in ("status", "visibility", "format", "tag") if name in given}
    for name, choices in _CHOICES.items():
        if name in chosen and chosen[name] not in choices:
            raise InvalidRequest(f"There is no {name} {quoted(chosen[name])}.")
    sort = given["sort"] if given.get("sort") in SORTS else "newest"
    keys = SORTS[sort][1]
    query = ImageQuery(
        scope_of(request.caller),
        project=request.caller.project,
        memberships=frozenset({MemberStatus.ACCEPTED, MemberStatus.PENDING}),
        community=chosen.get("visibility") == Visibility.COMMUNITY,
        conditions=(SHOWN, *_conditions(text, chosen)),
        tags=(chosen["tag"],) if "tag" in chosen else (),
        sort=keys,
        limit=read_limit(request.GET, min(request.settings.list_limit, _LIMIT_MAX)),
        after=read_image_marker(request, keys, "The page is gone: begin with the first one."),
    )
    return Listing(query, sort, text, chosen)


def _conditions(text: str, chosen: dict[str, str]) -> Iterator[Condition]:
    if text:
        yield Condition("name", "within", (text, text + _LAST))
    for name, field in (("status", "status"), ("visibility", "visibility"), ("format", "disk_format")):
        if name in chosen:
            yield Condition(field, "eq", chosen[name])


def read_form(request: Request) -> MultiDict:
    """Return the fields of a form. Confirm the caller once it has arrived, if there is one yet.

    Raises:
        Unauthenticated: the token is no longer valid.
        InvalidRequest: the body is no form.
        Exception: as `read_short_body`.
    """
    if request.media_type != _FORM:
        raise HTTPUnsupportedMediaType(f"The Content-Type of a form must be {_FORM}.")
    body = read_short_body(request)
    if request.known_caller is not None:
        request.confirm_caller()
    try:
        fields = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS_MAX
        )
    except ValueError:
        raise InvalidRequest("The body is not a form in UTF-8.") from None
    return MultiDict(fields)


def read_fields(form: MultiDict, image: Image | None = None) -> ImageFields:
    """Return the fields of an image that a form sets.

    Fields that the form does not change are left out, so that a caller may send a form with fields that it
    may not set.

    Raises:
        InvalidRequest: a value cannot be read.
    """
    fields: dict[str, Any] = {}
    for name in ("name", "visibility", "disk_format", "container_format", "owner"):
        if name in form:
            fields[name] = form[name].strip() or None
    if fields.get("visibility") is not None:
        fields["visibility"] = _visibility(fields["visibility"])
    for name in ("min_disk", "min_ram"):
        if name in form:
            fields[name] = _integer(name, form[name].strip() or "0")
    if "flags" in form:  # an unchecked box is not sent
        fields |= {name: name in form for name in ("protected", "os_hidden")}
    if image is not None:
        fields = {name: value for name, value in fields.items() if value != getattr(image, name)}
    tags = tuple(dict.fromkeys(form["tags"].replace(",", " ").split())) if "tags" in form else None
    properties = dict(_properties(form.get("properties", "")))
    return ImageFields(
        fields=fields,
        properties=properties,
        tags=tags,
        replace_properties="properties" in form,
    )


def require_unchanged(form: MultiDict, image: Image) -> None:
    """Check that the image is still as the page has shown it.

    Raises:
        Conflict: somebody has changed the image since.
    """
    if form.get("seen") != seen(image.updated_at):
        raise Conflict("Somebody has changed the image since this page was loaded: load it again.")


def seen(moment: datetime.datetime) -> str:
    """Return the time of an image's last change as forms carry it."""
    return f"{moment:{_SEEN}}"


def properties_text(image: Image) -> str:
    """Return the properties of an image as the form shows them, one on a line."""
    return "".join(f"{name} = {value}\n" for name, value in sorted(image.properties.items()))


def _properties(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if line.strip() and not equals:
            raise InvalidRequest(f"A property is written as NAME = VALUE, not {quoted(line.strip())}.")
        if line.strip():
            yield name.strip(), value.strip()


def _visibility(text: str) -> Visibility:
    try:
        return Visibility(text)
    except ValueError:
        raise InvalidRequest(f"There is no visibility {quoted(text)}.") from None


def _integer(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise InvalidRequest(f"Invalid {name}: a number is expected, not {quoted(text)}.")
    return int(text)
