"""What the requests of v2 send and return, for the OpenAPI document: the schemas that check them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyramid.config import Configurator

from calotype.api.http.openapi import Bodies
from calotype.api.v2.listing import QUERY
from calotype.api.v2.schemas import Schemas

_IMAGE = {"$ref": "#/components/schemas/image"}
_PAGE = ("limit", "marker")
_PATCH = {"type": "array", "items": {"type": "object", "required": ["op", "path"]}}


def includeme(config: Configurator) -> None:
    """Describe the documents of v2."""
    schemas = Schemas.of_registry(config.registry)
    config.add_api_schemas(schemas.documents, _bodies(schemas.inputs))


def _bodies(inputs: Mapping[str, Any]) -> dict[tuple[str, str], Bodies]:
    image, images = "/v2/images/ID", "/v2/images"
    return {
        ("GET", images): Bodies(response="images", query=QUERY),
        ("POST", images): Bodies(_IMAGE, "image"),
        ("GET", image): Bodies(response="image", query=("wait", "timeout")),
        ("PATCH", image): Bodies(_PATCH, "image"),
        ("POST", f"{image}/import"): Bodies(inputs["import"]),
        ("GET", f"{image}/members"): Bodies(response="members"),
        ("POST", f"{image}/members"): Bodies(inputs["member"], "member"),
        ("GET", f"{image}/members/PROJECT"): Bodies(response="member"),
        ("PUT", f"{image}/members/PROJECT"): Bodies(inputs["member status"], "member"),
        ("GET", "/v2/tasks"): Bodies(response="tasks", query=_PAGE),
        ("POST", "/v2/tasks"): Bodies(inputs["task"], "task"),
        ("GET", "/v2/tasks/ID"): Bodies(response="task"),
        ("GET", "/v2/audit"): Bodies(
            response="audit", query=(*_PAGE, "image", "user", "project", "verb", "since")
        ),
    }
