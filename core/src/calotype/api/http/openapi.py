"""GET /openapi.json: the description of all requests, in the form of OpenAPI 3.1.

The document is made at its first request from the views that serve requests, as Pyramid's introspection
shows them, and then kept. See `calotype.api.http.operations`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from pyramid.config import Configurator
from pyramid.registry import Registry
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from calotype.api.http.errors import forms_of
from calotype.api.http.operations import SCHEMAS, STRING, Content, Operation, Schema, json_of, properties
from calotype.api.http.problems import PROBLEM
from calotype.api.http.request import Parts, Request
from calotype.api.http.resources import AdminRoot, Resource, Root
from calotype.database.errors import DatabaseUnavailable
from calotype.identity.security import IdentityUnavailable, Unauthenticated
from calotype.model.errors import NotAllowed, NotFound
from calotype.model.fields import InvalidRequest

log = logging.getLogger(__name__)

_CACHE = "calotype.openapi.document"
_METHODS = ("GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH")
_VARIABLE = re.compile(r"\b[A-Z]{2,}\b")
_UNDESCRIBED = Operation({})


@dataclass(frozen=True, slots=True)
class Served:
    """A method and a path with a view. `permission` is the right that it needs, "" if it needs none.

    `is_api` is false for a page that people read in a browser.
    """

    method: str
    path: str
    permission: str
    summary: str
    operation: Operation | None
    is_api: bool = True


def served_requests(registry: Registry) -> Iterator[Served]:
    """Yield a description of each view, without the views that only refuse methods."""
    for entry in registry.introspector.get_category("views"):
        view = entry["introspectable"]
        context, methods = view["context"], view.get("method")
        if not (methods and isinstance(context, type) and issubclass(context, Resource)):
            continue
        if context is AdminRoot:
            continue
        needed = [one["value"] for one in entry["related"] if one.category_name == "permissions"]
        right = "" if needed == [NO_PERMISSION_REQUIRED] else needed[0]
        summary = _summary(view["callable"].__doc__ or "")
        path = path_of(context, view["name"])
        if path is None:
            log.warning("/openapi.json omits %s, whose docstring does not begin with its path", context)
            continue
        for method in (methods,) if isinstance(methods, str) else methods:
            yield Served(method, path, right, summary, view.get("operation"), context.is_api)


def openapi_document(registry: Registry) -> dict[str, Any]:
    """Return the document."""
    paths: dict[str, dict[str, Any]] = {}
    for one in (one for one in served_requests(registry) if one.is_api):
        item = paths.setdefault(_VARIABLE.sub(lambda found: f"{{{found[0].lower()}}}", one.path), {})
        made = _operation(registry, one)
        earlier = item.get(one.method.lower())
        item[one.method.lower()] = made if earlier is None else _merged(earlier, made)
    for path, item in paths.items():
        if names := re.findall(r"{(\w+)}", path):
            item["parameters"] = [_parameter(name, "path", {"type": "string"}) for name in names]
    settings = Parts.of(registry).settings
    return {
        "openapi": "3.1.0",
        "info": {"title": "Calotype", "version": version("calotype-core")},
        # A relative URL is resolved against that of the document, and so passes through every proxy.
        "servers": [{"url": settings.public_endpoint or "/"}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {**_ERROR_SCHEMAS, **registry[SCHEMAS]},
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
            },
        },
    }


def path_of(context: type[Resource], name: str) -> str | None:
    """Return the path of a view, which begins the docstring of its context; None if there is none."""
    base = "/" if context is Root else (context.__doc__ or "").partition(":")[0].strip()
    if not re.fullmatch(r"/[\w./-]*", base):
        return None
    return "/" + "/".join(filter(None, (base.strip("/"), name)))


def _summary(docstring: str) -> str:
    """Return the first sentence of a view's docstring, without the method and the path."""
    first = docstring.partition("\n")[0].strip()
    return re.sub(r"^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)\b[^:]*: ", "", first)


def _operation(registry: Registry, one: Served) -> dict[str, Any]:
    operation = one.operation or _UNDESCRIBED
    answers = {str(status): _answer("", content) for status, content in operation.answers.items()}
    named = [
        *(_parameter(name, "query", schema) for name, schema in operation.query.items()),
        *(_parameter(name, "header", schema) for name, schema in operation.headers.items()),
    ]
    made: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{one.method.lower()}{one.path}").rstrip("_"),
        "tags": [_segment(one.path) or "service"],
        "summary": one.summary,
        "security": [{"token": []}, {}] if one.permission else [{}],
        "responses": {**answers, **_refusals(registry, one, operation)},
    }
    if one.permission:
        made["description"] = f"Needs the right `{one.permission}`."
    if named:
        made["parameters"] = named
    if operation.body:
        made["requestBody"] = {"content": _content(operation.body)}
    return made


def _refusals(registry: Registry, one: Served, operation: Operation) -> dict[str, Any]:
    """Return the errors of a request, with the reasons of each status."""
    errors: list[type[Exception]] = [InvalidRequest, DatabaseUnavailable, *operation.errors]
    if one.permission:
        errors += [Unauthenticated, IdentityUnavailable, NotAllowed]
    if _VARIABLE.search(one.path):
        errors.append(NotFound)
    dialect = forms_of(registry, _segment(one.path))
    reasons: dict[int, list[str]] = {status: [text] for status, text in operation.refusals.items()}
    for kind in errors:
        status = dialect.statuses[next(base for base in kind.__mro__ if base in dialect.statuses)]
        reasons.setdefault(status, []).append((kind.__doc__ or "").partition("\n")[0])
    content = {media: _ERRORS[media] for media in dialect.media}
    return {
        str(status): _answer(" ".join(dict.fromkeys(texts)), content)
        for status, texts in sorted(reasons.items())
        if status not in operation.answers
    }


#: The schemas of errors by media type.
_ERRORS: Content = {"text/plain": STRING, "application/json": "error", PROBLEM: "problem"}
_INTEGER = {"type": "integer"}
_ERROR_SCHEMAS: Mapping[str, Any] = {
    "error": properties(error=properties(code=_INTEGER, title=STRING, message=STRING)),
    "problem": properties(title=STRING, status=_INTEGER, detail=STRING),
}


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return one operation for two views of the same method and path, such as those of tus and the draft."""
    merged = {**second, **first}
    if first["summary"] != second["summary"]:
        merged["summary"] = f"{first['summary']} Or: {second['summary']}"
    merged["responses"] = {**second["responses"], **first["responses"]}
    known = [*first.get("parameters", ()), *second.get("parameters", ())]
    if known:
        merged["parameters"] = list({(one["name"], one["in"]): one for one in known}.values())
    content = {
        **second.get("requestBody", {}).get("content", {}),
        **first.get("requestBody", {}).get("content", {}),
    }
    return {**merged, "requestBody": {"content": content}} if content else merged


def _segment(path: str) -> str:
    return path.split("/")[1]


def _parameter(name: str, place: str, schema: Schema) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": _schema(schema)}


def _answer(reason: str, content: Content) -> dict[str, Any]:
    if not content:
        return {"description": reason or "No body."}
    return {"description": reason or "The answer.", "content": _content(content)}


def _content(content: Content) -> dict[str, Any]:
    return {media: {"schema": _schema(schema)} for media, schema in content.items()}


def _schema(schema: Any) -> Any:
    """Return the schema with references instead of the names of schemas, also in arrays and objects."""
    if isinstance(schema, str):
        return {"$ref": f"#/components/schemas/{schema}"}
    resolved = dict(schema)
    if "items" in resolved:
        resolved["items"] = _schema(resolved["items"])
    if "properties" in resolved:
        resolved["properties"] = {name: _schema(one) for name, one in resolved["properties"].items()}
    return resolved


def show(context: Root, request: Request) -> Response:
    """GET /openapi.json: this description of all requests."""
    body = request.registry.get(_CACHE)
    if body is None:  # two threads may both make it, and both make the same
        body = request.registry[_CACHE] = json.dumps(openapi_document(request.registry)).encode()
    response = Response(body, content_type="application/json")
    response.etag = hashlib.sha256(body).hexdigest()[:32]
    response.conditional_response = True
    response.cache_control = "no-cache"
    return response


def includeme(config: Configurator) -> None:
    """Add the view to the root."""
    config.add_view(
        show,
        context=Root,
        name="openapi.json",
        method="GET",
        permission=NO_PERMISSION_REQUIRED,
        operation=Operation({200: json_of({"type": "object"}), 304: {}}),
    )
