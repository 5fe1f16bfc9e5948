"""The JSON schemas of metadata definitions.

Clients fetch them, and `glance md-*` builds its models from them. The service checks documents against them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyramid.config import Configurator

from calotype.api.v2.schemas import array, check_document, compile_schema, several
from calotype_metadefs.database import Kind
from calotype_metadefs.verbs import DESCRIPTION_MAX, ITEMS_MAX, NAME_MAX, SHORT_MAX

SCHEMAS = "calotype.v2.metadefs.schemas"

_TYPES = ["array", "boolean", "integer", "number", "object", "string"]
_TEXT = {"type": "string"}
_NAME = {"type": "string", "maxLength": NAME_MAX}
_COUNT = {"type": "integer", "minimum": 0}
_TIME = {"type": "string", "format": "date-time", "readOnly": True}
_TIMES = {"created_at": _TIME, "updated_at": _TIME}
_SELF = {"self": {"type": "string", "readOnly": True}, "schema": {"type": "string", "readOnly": True}}
_TEXTS = array(_TEXT, most=ITEMS_MAX, uniqueItems=True)
_PROPERTY: Mapping[str, Any] = {
    "name": _NAME,
    "title": _TEXT,
    "type": {"type": "string", "enum": _TYPES},
    "description": _TEXT,
    "operators": array(_TEXT, most=ITEMS_MAX),
    "required": _TEXTS,
    "readonly": {"type": "boolean"},
    "default": {},
    "enum": {"type": "array"},
    "minimum": {"type": "number"},
    "maximum": {"type": "number"},
    "pattern": {"type": "string", "format": "regex"},
    "minLength": _COUNT,
    "maxLength": _COUNT,
    "items": {
        "type": "object",
        "properties": {"type": {"type": "string", "enum": _TYPES}, "enum": {"type": "array"}},
    },
    "minItems": _COUNT,
    "maxItems": _COUNT,
    "uniqueItems": {"type": "boolean"},
    "additionalItems": {"type": "boolean"},
}
_PROPERTIES = {
    "type": "object",
    "maxProperties": ITEMS_MAX,
    "additionalProperties": {
        "type": "object",
        "properties": _PROPERTY,
        "additionalProperties": False,
        "required": ["title", "type"],
    },
}
_ASSOCIATION = {
    "name": {"type": "string", "maxLength": SHORT_MAX},
    "prefix": {"type": "string", "maxLength": SHORT_MAX},
    "properties_target": {"type": "string", "maxLength": SHORT_MAX},
    **_TIMES,
}
_OBJECT = {
    "name": _NAME,
    "description": _TEXT,
    "properties": _PROPERTIES,
    "required": _TEXTS,
    **_TIMES,
    **_SELF,
}
_TAG = {"name": _NAME, **_TIMES}


def _named(properties: Mapping[str, Any], *more: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "required": ["name", *more],
    }


_NAMESPACE = {
    "namespace": {"type": "string", "maxLength": SHORT_MAX},
    "display_name": {"type": "string", "maxLength": SHORT_MAX},
    "description": {"type": "string", "maxLength": DESCRIPTION_MAX},
    "visibility": {"type": "string", "enum": ["public", "private"]},
    "protected": {"type": "boolean", "description": "If true, namespace will not be deletable."},
    "owner": {"type": "string", "maxLength": NAME_MAX},
    "resource_type_associations": array(_named(_ASSOCIATION), most=ITEMS_MAX),
    "properties": _PROPERTIES,
    "objects": array(_named(_OBJECT), most=ITEMS_MAX),
    "tags": array(_named(_TAG), most=ITEMS_MAX),
    **_TIMES,
    **_SELF,
}
_NEW_TAGS = {
    "type": "object",
    "properties": {"tags": _NAMESPACE["tags"]},
    "additionalProperties": False,
    "required": ["tags"],
}


class MetadefSchemas:
    """The schemas, compiled once. `documents` has the schemas that clients fetch, by name."""

    def __init__(self) -> None:
        namespace = {
            "name": "namespace",
            "properties": _NAMESPACE,
            "additionalProperties": False,
            "required": ["namespace"],
        }
        association = {"name": "resource_type_association", **_named(_ASSOCIATION)}
        thing = {"name": "object", **_named(_OBJECT)}
        one_property = {"name": "property", **_named(_PROPERTY, "title", "type")}
        tag = {"name": "tag", **_named(_TAG)}
        properties = several("properties", one_property, paged=True)
        properties["properties"]["properties"] = _PROPERTIES  # an object, not an array
        self.documents: Mapping[str, dict[str, Any]] = {
            "namespace": namespace,
            "namespaces": several("namespaces", namespace, paged=True),
            "resource_type": association,
            "resource_types": several("resource_type_associations", association, paged=True),
            "object": thing,
            "objects": several("objects", thing, paged=True),
            "property": one_property,
            "properties": properties,
            "tag": tag,
            "tags": several("tags", tag, paged=True),
        }
        self._compiled: Mapping[str, Any] = {
            "namespace": compile_schema({"type": "object", **namespace}),
            "tags": compile_schema(_NEW_TAGS),
            Kind.OBJECT: compile_schema(thing),
            Kind.PROPERTY: compile_schema(one_property),
            Kind.TAG: compile_schema(tag),
            Kind.ASSOCIATION: compile_schema(association),
        }

    def check(self, name: str, document: object) -> None:
        """Check a document; raises InvalidRequest. `name` is "namespace", "tags" or a Kind."""
        check_document(self._compiled[name], document, name)


def includeme(config: Configurator) -> None:
    """Build the schemas, and register them in the application's registry."""
    schemas = MetadefSchemas()
    config.registry[SCHEMAS] = schemas
    config.add_schemas("metadefs", {**schemas.documents, "new-tags": _NEW_TAGS})
