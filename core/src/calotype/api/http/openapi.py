"""`GET /openapi.json`: the OpenAPI 3.1 document of all requests, made from the views that serve them.

A path is that in the docstring of the view's context, and a summary is the first sentence of the view. So a
view cannot be missing, and nothing is described twice. Dialects and extensions add the schemas of documents
by `add_api_schemas`.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from pyramid.config import Configurator
from pyramid.registry import Registry
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from calotype.api.http.request import Request
from calotype.api.http.resources import AdminRoot, Resource, Root
from calotype.api.http.versions import base_url

_PATH = re.compile(r"/[\w./-]+")
#: The beginning of a view's docstring, before the sentence about it.
_REQUEST = re.compile(r"[A-Z]+(?: and [A-Z]+)* [/.]\S*?(?: and /\S*?)*:? ")
#: A segment of a path that stands for any name, such as ID.
_PARAMETER = re.compile(r"/([A-Z]+)(?=/|$)")
_OCTETS = "application/octet-stream"
_ERROR = {
    "description": "An error. Its text says what is wrong and what to do.",
    "content": {"application/json": {}, "text/plain": {"schema": {"type": "string"}}},
}


@dataclass(frozen=True, slots=True)
class Bodies:
    """The body of a request, and that of its successful response.

    Args:
        request: The schema of the JSON document that the client sends; None if it sends none.
        response: The name of the schema of the response; None if it has no document.
        query: The names of the parameters in the query.
    """

    request: Mapping[str, Any] | None = None
    response: str | None = None
    query: Sequence[str] = ()


@dataclass
class Api:
    """What is known about all requests. The document is made when it is first asked for."""

    KEY: ClassVar = "calotype.api"
    registry: Registry
    schemas: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    bodies: dict[tuple[str, str], Bodies] = field(default_factory=dict)

    @cached_property
    def paths(self) -> Mapping[str, Any]:
        """The operations by path and method."""
        found: dict[str, dict[str, Any]] = {}
        for one in served_requests(self.registry):
            operations = found.setdefault(_PARAMETER.sub(_in_braces, one.path), {})
            method = one.method.lower()
            if method in operations:  # two protocols share a path
                operations[method]["summary"] += f"; {one.summary}"
            else:
                operations[method] = self._operation(one)
        return dict(sorted(found.items()))

    def document(self, base: str, version: str) -> dict[str, Any]:
        """Return the document for clients that reach the service at the URL `base`."""
        return {
            "openapi": "3.1.0",
            "info": {"title": "Calotype", "version": version, "license": {"name": "Apache-2.0"}},
            "servers": [{"url": base}],
            "security": [{"token": []}, {}],
            "paths": self.paths,
            "components": {
                "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
                "schemas": self.schemas,
                "responses": {"Error": _ERROR},
            },
        }

    def _operation(self, one: Served) -> dict[str, Any]:
        about = self.bodies.get((one.method, one.path), Bodies())
        success: dict[str, Any] = {"description": "Success"}
        if about.response is not None:
            schema = {"$ref": f"#/components/schemas/{about.response}"}
            success["content"] = {"application/json": {"schema": schema}}
        operation: dict[str, Any] = {
            "summary": one.summary,
            "tags": [one.tag],
            "responses": {"2XX": success, "default": {"$ref": "#/components/responses/Error"}},
        }
        names = [name.lower() for name in _PARAMETER.findall(one.path)]
        parameters = [_parameter(name, "path", required=True) for name in names]
        parameters += [_parameter(name, "query") for name in about.query]
        if parameters:
            operation["parameters"] = parameters
        if about.request is not None:
            operation["requestBody"] = {"content": {"application/json": {"schema": about.request}}}
        elif one.method in ("PUT", "POST", "PATCH"):
            operation["requestBody"] = {"content": {_OCTETS: {}, "application/json": {}}}
        return operation


@dataclass(frozen=True, slots=True)
class Served:
    """A request that a view serves: its path has ID and other names in upper case for any name."""

    method: str
    path: str
    summary: str

    @property
    def tag(self) -> str:
        """The dialect, which is the first segment of the path."""
        return self.path.split("/")[1] or "versions"


def served_requests(registry: Registry) -> Iterator[Served]:
    """Yield the requests of the API that the application serves, without pages for people."""
    for entry in registry.introspector.get_category("views"):
        view = entry["introspectable"]
        context, methods = view["context"], view.get("method")
        if not methods or not (isinstance(context, type) and issubclass(context, Resource)):
            continue
        if context is AdminRoot or not context.is_api:
            continue
        above = "" if context is Root else path_of(context)
        path = f"{above}/{view['name']}" if view["name"] else above or "/"
        doc = _REQUEST.sub("", inspect.getdoc(view["callable"]) or "").partition("\n\n")[0]
        summary = " ".join(doc.split()).rstrip(".")
        for method in (methods,) if isinstance(methods, str) else methods:
            yield Served(method, path, summary)


def path_of(context: type[Resource]) -> str:
    """Return the path at the beginning of the docstring of a class in the resource tree."""
    match = _PATH.match(context.__doc__ or "")
    if match is None:
        raise ValueError(f"the docstring of {context.__name__} does not begin with its path")
    return match[0]


def openapi(context: Root, request: Request) -> Response:
    """GET /openapi.json: this document."""
    api: Api = request.registry[Api.KEY]
    version = importlib.metadata.version("calotype-core")
    body = json.dumps(api.document(base_url(request), version), separators=(",", ":"))
    return Response(body, content_type="application/json", charset="utf-8")


def _in_braces(match: re.Match[str]) -> str:
    return f"/{{{match[1].lower()}}}"


def _parameter(name: str, where: str, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": where, "required": required, "schema": {"type": "string"}}


def includeme(config: Configurator) -> None:
    """Add /openapi.json, and the directive `add_api_schemas`."""
    config.registry[Api.KEY] = Api(config.registry)
    config.add_directive("add_api_schemas", _add_api_schemas)
    config.add_view(
        openapi, context=Root, name="openapi.json", method="GET", permission=NO_PERMISSION_REQUIRED
    )


def _add_api_schemas(
    config: Configurator,
    schemas: Mapping[str, Mapping[str, Any]],
    bodies: Mapping[tuple[str, str], Bodies],
) -> None:
    """Add schemas by name, and the bodies of requests by method and path."""
    api: Api = config.registry[Api.KEY]
    api.schemas.update(schemas)
    api.bodies.update(bodies)
