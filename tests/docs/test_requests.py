"""docs/requests.md lists the methods and paths for which the application has views, and no others."""

from __future__ import annotations

from pyramid.router import Router

from calotype.api.http.openapi import path_of
from calotype.api.http.resources import AdminRoot, Resource, Root
from calotype.model import policy
from tests.docs.sentences import read_rows
from tests.support.pages import DOCS

#: A second path of one class of the resource tree.
ALSO = {("GET", "/v2/schemas/NAME"): ("GET", "/v2/schemas/metadefs/NAME")}


def served(application: Router) -> set[tuple[str, str]]:
    """Return the method and path of each view, without views that only refuse methods."""
    found = set(permissions(application))
    return found | {ALSO[one] for one in found if one in ALSO}


def permissions(application: Router) -> dict[tuple[str, str], str | None]:
    """Return the permission that the view of each method and path needs."""
    found: dict[tuple[str, str], str | None] = {}
    for entry in application.registry.introspector.get_category("views"):
        view = entry["introspectable"]
        context, methods = view["context"], view.get("method")
        if methods and isinstance(context, type) and issubclass(context, Resource):
            above = "" if context in (Root, AdminRoot) else path_of(context)
            path = "/".join(filter(None, (above, view["name"]))) or "/"
            needed = [one["value"] for one in entry["related"] if one.category_name == "permissions"]
            for method in (methods,) if isinstance(methods, str) else methods:
                found[method, path if path.startswith("/") else f"/{path}"] = needed[0] if needed else None
    return found


def without_heads(requests: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the requests without HEAD, which the page names only if it differs from GET."""
    return {(method, path) for method, path in requests if method != "HEAD"}


def test_the_page_lists_the_requests_that_are_served(application: Router) -> None:
    """r1-E21, both ways"""
    rows = read_rows((DOCS / "requests.md").read_text(), 3)
    listed = [(row[0].strip("`"), row[1].strip("`")) for row in rows]

    assert without_heads(set(listed)) == without_heads(served(application))
    assert len(listed) == len(set(listed)) > 80


def test_each_head_that_the_page_names_is_served(application: Router) -> None:
    rows = read_rows((DOCS / "requests.md").read_text(), 3)
    heads = {row[1].strip("`") for row in rows if row[0] == "`HEAD`"}

    assert {("HEAD", path) for path in heads} <= served(application)


def test_no_request_of_owners_is_listed_as_one_of_administrators(application: Router) -> None:
    """The page said that only an administrator deactivates an image."""
    needed = permissions(application)
    rows = read_rows((DOCS / "requests.md").read_text(), 3)
    admins = {(row[0].strip("`"), row[1].strip("`")) for row in rows if row[2].startswith("admin:")}

    assert {one for one in admins if needed.get(one) in policy.OWNING} == set()
    assert policy.OPERATE in {needed.get(one) for one in admins}
