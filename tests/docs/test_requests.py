"""docs/requests.md lists the methods and paths for which the application has views, and no others."""

from __future__ import annotations

import re

from pyramid.router import Router

from calotype.api.http.resources import AdminRoot, Resource, Root
from tests.docs.sentences import read_rows
from tests.support.pages import DOCS

#: The beginning of the paths that the docstrings of metadata definitions leave out.
NAMESPACE = "/v2/metadefs/namespaces/NAMESPACE"
#: A second path of one class of the resource tree.
ALSO = {("GET", "/v2/schemas/NAME"): ("GET", "/v2/schemas/metadefs/NAME")}


def path_of(context: type[Resource]) -> str:
    """Return the path at the beginning of the class's docstring."""
    if context in (Root, AdminRoot):
        return ""
    match = re.match(r"(\.\.\.)?(/[\w./-]+)", context.__doc__ or "")
    assert match, f"the docstring of {context.__name__} does not begin with its path"
    return (NAMESPACE if match[1] else "") + match[2]


def served(application: Router) -> set[tuple[str, str]]:
    """Return the method and path of each view, without views that only refuse methods."""
    found: set[tuple[str, str]] = set()
    for entry in application.registry.introspector.get_category("views"):
        view = entry["introspectable"]
        context, methods = view["context"], view.get("method")
        if methods and isinstance(context, type) and issubclass(context, Resource):
            path = "/".join(filter(None, (path_of(context), view["name"]))) or "/"
            found |= {
                (method, path if path.startswith("/") else f"/{path}")
                for method in ((methods,) if isinstance(methods, str) else methods)
            }
    return found | {ALSO[one] for one in found if one in ALSO}


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
