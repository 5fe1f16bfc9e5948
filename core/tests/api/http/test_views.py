"""The registered views, by introspection: their permissions, and the methods that a 405 lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPMethodNotAllowed
from pyramid.interfaces import IDefaultPermission, IRequestExtensions
from pyramid.response import Response
from pyramid.router import Router
from pyramid.security import NO_PERMISSION_REQUIRED
from webtest import TestApp

from calotype.api.http.allowed_methods import refuse_other_methods
from calotype.api.http.predicates import Method
from calotype.api.http.resources import Resource
from calotype.app import make_app
from calotype.model import policy
from calotype.model.policy import Caller
from tests.support.workbench import Bench, make_bench, make_settings

#: Views without a permission: they answer without a token, or check each caller themselves.
OPEN = {
    "AdminRoot healthcheck",
    "AdminRoot healthz",
    "AdminRoot readyz",
    "AssetFile ",
    "Console ",
    "Console sign-in",
    "Console sign-out",
    "Root ",
    "Root healthcheck",
    "Root healthz",
    "Root metrics",
    "Root openapi.json",
    "Root readyz",
    "Root versions",
    "Uploads ",
    "V1SharedWith ",
    "V1Tombstone ",
    "V2 ",
}
#: The header Allow of a request with an unsupported method; `ID` is the id of an image.
ALLOWED = [
    ("/", "GET, HEAD"),
    ("/versions", "GET, HEAD"),
    ("/images", "GET, HEAD, POST"),
    ("/images/detail", "GET, HEAD"),
    ("/images/ID", "GET, HEAD, PUT, DELETE"),
    ("/v1", "GET, HEAD"),
    ("/v1/images", "GET, HEAD, POST"),
    ("/v1/images/detail", "GET, HEAD"),
    ("/v1/images/ID", "GET, HEAD, PUT, DELETE"),
    ("/v1/images/GONE", "GET, HEAD, PUT, DELETE"),
    ("/v1/images/ID/file", "GET, HEAD"),
    ("/v1/images/ID/members", "GET, HEAD, PUT"),
    ("/v1/images/ID/members/p", "PUT, DELETE"),
    ("/v1/shared-images/p", "GET, HEAD"),
    ("/v2/", "GET, HEAD"),
    ("/v2/images", "GET, HEAD, POST"),
    ("/v2/images/ID", "GET, HEAD, PATCH, DELETE"),
    ("/v2/images/ID/file", "GET, HEAD, PUT"),
    ("/v2/images/ID/stage", "PUT"),
    ("/v2/images/ID/import", "POST"),
    ("/v2/images/ID/tasks", "GET, HEAD"),
    ("/v2/images/ID/tags/t", "PUT, DELETE"),
    ("/v2/images/ID/actions/deactivate", "POST"),
    ("/v2/images/ID/actions/reactivate", "POST"),
    ("/v2/images/ID/actions/undelete", "POST"),
    ("/v2/images/GONE/actions/undelete", "POST"),
    ("/v2/images/ID/members", "GET, HEAD, POST"),
    ("/v2/images/ID/members/member", "GET, HEAD, PUT, DELETE"),
    ("/v2/schemas/image", "GET, HEAD"),
    ("/v2/info/import", "GET, HEAD"),
    ("/v2/info/usage", "GET, HEAD"),
    ("/v2/info/stores", "GET, HEAD"),
    ("/v2/info/stores/detail", "GET, HEAD"),
    ("/v2/stores/memory/ID", "DELETE"),
    ("/v2/tasks", "GET, HEAD, POST"),
    ("/v2/tasks/ID", "GET, HEAD"),
    ("/v2/audit", "GET, HEAD"),
]


@pytest.fixture
def application(bench: Bench) -> Router:
    return make_app(replace(bench.service, settings=make_settings(metrics=True)))


def views_of(application: Router) -> list[tuple[Any, list[str]]]:
    """Return each view of a resource, with the permissions that its registration names."""
    introspector = application.registry.introspector
    found = []
    for entry in introspector.get_category("views"):
        view = entry["introspectable"]
        if isinstance(view["context"], type) and issubclass(view["context"], Resource):
            related = introspector.related(view)
            found.append((view, [one["value"] for one in related if one.category_name == "permissions"]))
    return found


def described(view: Any) -> str:
    return f"{view['context'].__name__} {view['name']}"


def test_each_view_names_its_permission(application: Router) -> None:
    views = views_of(application)
    assert len(views) > 100
    assert [described(view) for view, permissions in views if len(permissions) != 1] == []


def test_only_the_listed_views_need_no_permission(application: Router) -> None:
    found = {
        described(view)
        for view, names in views_of(application)
        if names == [NO_PERMISSION_REQUIRED] and view.get("method")
    }
    assert found == OPEN


def test_no_request_gets_a_class_of_its_own(application: Router) -> None:
    """Pyramid creates a class for each request if an extension has added a property to requests."""
    assert application.registry.queryUtility(IRequestExtensions) is None


def test_a_view_without_a_permission_is_closed_to_everybody(application: Router) -> None:
    default = application.registry.getUtility(IDefaultPermission)
    admin = Caller("u", "p", frozenset({"admin"}))
    grants = [*policy.COLLECTION_GRANTS]
    assert not any(policy.may(caller, default, grants) for caller in (admin, Caller(anonymous=True)))


@pytest.fixture(scope="module")
def served(template: Any) -> Iterator[tuple[TestApp, dict[str, str]]]:
    """Yield an application with a shared and a deleted image, and the ids of both by name."""
    with make_bench(template) as bench:
        app = TestApp(make_app(bench.service), lint=False)  # lint does not know all of our methods
        shared, gone = (app.post_json("/v2/images", {}).json["id"] for _ in range(2))
        app.post_json(f"/v2/images/{shared}/members", {"member": "member"})
        app.delete(f"/v2/images/{gone}")
        yield app, {"ID": shared, "GONE": gone}


@pytest.mark.parametrize(("path", "allowed"), ALLOWED)
def test_a_405_names_the_methods_that_have_a_view(
    served: tuple[TestApp, dict[str, str]], path: str, allowed: str
) -> None:
    app, ids = served
    for name, image_id in ids.items():
        path = path.replace(name, image_id)
    answer = app.request(path, method="BREW", expect_errors=True)
    assert (answer.status_int, answer.headers.get("Allow")) == (405, allowed)


class Stranger(Resource):
    """A resource of an extension."""


@pytest.mark.parametrize(
    ("predicates", "answers"),
    [
        ({}, {"GET": "200", "BREW": "200"}),
        ({"method": "GET"}, {"GET": "200", "BREW": "405 GET, HEAD"}),
        ({"request_method": "POST"}, {"POST": "200", "BREW": "405 POST"}),
        ({"request_method": ("GET", "PUT")}, {"PUT": "200", "BREW": "405 GET, HEAD, PUT"}),
    ],
)
def test_a_view_of_an_extension_keeps_its_methods(
    predicates: dict[str, Any], answers: dict[str, str]
) -> None:
    config = Configurator(root_factory=Stranger)
    config.add_view_predicate("method", Method)
    config.add_view(lambda context, request: Response("200"), context=Stranger, **predicates)
    config.add_view(
        lambda error, request: Response(f"405 {error.headers['Allow']}"), context=HTTPMethodNotAllowed
    )
    refuse_other_methods(config)
    app = TestApp(config.make_wsgi_app(), lint=False)
    assert {method: app.request("/", method=method).text for method in answers} == answers
