"""The JSON schemas of v2. Clients fetch them, and the service checks the documents of clients with them.

glanceclient builds its model of an image from `/v2/schemas/image`, and nova reads the accepted formats there.
So the schemas must describe exactly what the service accepts and returns.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from pyramid.config import Configurator
from pyramid.registry import Registry

from calotype.api.http.json_schema import ANY_IMAGE_ID, IMAGE_ID, check_document, compile_schema, shown
from calotype.api.http.request import Parts, Request
from calotype.config.settings import Settings
from calotype.model.audit import Agent, Outcome
from calotype.model.fields import InvalidRequest
from calotype.model.images import MemberStatus, Visibility
from calotype.model.jobs import JobStatus
from calotype.model.states import Status

_SCHEMAS = "calotype.v2.schemas"
#: Maximum number of stores that an import can name.
STORES_MAX = 64


def array(items: Mapping[str, Any], *, most: int, **more: Any) -> dict[str, Any]:
    """Return the schema of an array with at most `most` items."""
    return {"type": "array", "maxItems": most, "items": items, **more}


_STRING = {"type": "string"}
_READ_ONLY = {"type": "string", "readOnly": True}


def _described(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _text(most: int, **more: Any) -> dict[str, Any]:
    return {"type": ["null", "string"], "maxLength": most, **more}


def _formats(known: tuple[str, ...], description: str) -> dict[str, Any]:
    return {"type": ["null", "string"], "enum": [None, *known], "description": description}


def _gigabytes(description: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": 0, "maximum": 2**31 - 1, "description": description}


#: Properties that other programs use. The command `glance` has options for them, such as `--os-distro`. nova
#: reads the kernel and the ramdisk, and cinder reads the key of an encrypted volume.
_WELL_KNOWN: Mapping[str, Mapping[str, Any]] = {
    "kernel_id": {
        "type": ["null", "string"],
        "pattern": ANY_IMAGE_ID,
        "description": "Id of the image with the kernel that machines of this image boot",
    },
    "ramdisk_id": {
        "type": ["null", "string"],
        "pattern": ANY_IMAGE_ID,
        "description": "Id of the image with the ramdisk that machines of this image boot",
    },
    "instance_uuid": _described("Id of the machine that this image is a snapshot of"),
    "architecture": _described("Processor architecture of the image, such as x86_64"),
    "os_distro": _described("Operating system distribution in the image, such as debian"),
    "os_version": _described("Version of the distribution, such as 12"),
    "description": _described("Description of the image for people"),
    "cinder_encryption_key_id": _described(
        "Id, in the key manager, of the key that encrypts the volume in the image"
    ),
    "cinder_encryption_key_deletion_policy": {
        "type": "string",
        "enum": ["on_image_deletion", "do_not_delete"],
        "description": "Policy for the key of an encrypted volume when the image is deleted",
    },
}
#: The schemas of documents that are not images, by name.
_INPUTS = {
    "import": {
        "type": "object",
        "required": ["method"],
        "properties": {
            "method": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "uri": {"type": "string"}},
            },
            "stores": array({"type": "string", "maxLength": 255}, most=STORES_MAX),
            "all_stores": {"type": "boolean"},
            "all_stores_must_succeed": {"type": "boolean"},
        },
    },
    "member": {
        "type": "object",
        "required": ["member"],
        "properties": {"member": {"type": "string", "minLength": 1, "maxLength": 255}},
    },
    "member status": {
        "type": "object",
        "required": ["status"],
        "properties": {"status": {"enum": [*MemberStatus]}},
    },
    "task": {
        "type": "object",
        "required": ["type", "input"],
        "properties": {
            "type": {"enum": ["import"]},
            "input": {
                "type": "object",
                "required": ["import_from", "import_from_format", "image_properties"],
                "properties": {
                    "import_from": {"type": "string"},
                    "import_from_format": {"type": "string", "maxLength": 20},
                    "image_properties": {"type": "object"},
                },
            },
        },
    },
}


class TaskType(enum.StrEnum):
    """The type of a task: an import that created its image, or an import into an existing image."""

    IMPORT = "import"
    API_IMAGE_IMPORT = "api_image_import"


_MEMBER: Mapping[str, Any] = {
    "member_id": _described("Project that the image is shared with"),
    "image_id": {"type": "string", "pattern": IMAGE_ID},
    "status": {"type": "string", "enum": [*MemberStatus]},
    "created_at": _STRING,
    "updated_at": _STRING,
    "schema": _READ_ONLY,
}
_TASK: Mapping[str, Any] = {
    "id": {"type": "string", "pattern": IMAGE_ID},
    "type": {"type": "string", "enum": [*TaskType]},
    "status": {"type": "string", "enum": [*JobStatus]},
    "owner": _text(255, description="Project that owns the image"),
    "image_id": {"type": "string", "pattern": IMAGE_ID},
    "request_id": _described("Request that started the task"),
    "user_id": _text(255, description="User who started the task"),
    "input": {"type": ["null", "object"], "description": "Input of the task"},
    "result": {"type": ["null", "object"], "description": "Result of the task"},
    "message": _described("Reason of a failure"),
    "expires_at": {"type": ["null", "string"]},
    "created_at": _STRING,
    "updated_at": _STRING,
    "self": _READ_ONLY,
    "schema": _READ_ONLY,
}
_AUDIT_RECORD: Mapping[str, Any] = {
    "id": {"type": "integer"},
    "time": _described("Time in UTC, with microseconds"),
    "verb": _described("Action"),
    "outcome": {"type": "string", "enum": [*Outcome]},
    "image_id": {"type": ["null", "string"]},
    "user_id": _text(255, description="User who performed the action"),
    "project_id": _text(255, description="Project of the user"),
    "token_id": _text(64, description="Id of the user's token, which is not the token itself"),
    "address": _text(64, description="Address of the client"),
    "request_id": _text(80, description="x-openstack-request-id of the request"),
    "agent": {"type": "string", "enum": [*Agent]},
    "detail": _STRING,
}


class Schemas:
    """The schemas of a service. Clients get `documents` by name; compiled schemas check their requests."""

    def __init__(self, settings: Settings):
        image, task = _image(settings), _object("task", _TASK)
        member, audit_record = _object("member", _MEMBER), _object("audit-record", _AUDIT_RECORD)
        listed = {name: schema for name, schema in _TASK.items() if name not in ("input", "result")}
        self.documents: Mapping[str, dict[str, Any]] = {
            "image": image,
            "images": several("images", image, paged=True),
            "member": member,
            "members": several("members", member, paged=False),
            "task": task,
            "tasks": several("tasks", _object("task", listed), paged=True),
            "audit-record": audit_record,
            "audit": several("audit", audit_record, paged=True),
        }
        self._base = image["properties"].keys() - _WELL_KNOWN.keys()
        self._properties = {name: compile_schema(schema) for name, schema in image["properties"].items()}
        self._inputs = {name: compile_schema(schema) for name, schema in _INPUTS.items()}

    @staticmethod
    def of(request: Request) -> Schemas:
        """Return the schemas of the application that handles the request."""
        return Schemas.of_registry(request.registry)

    @staticmethod
    def of_registry(registry: Registry) -> Schemas:
        """Return the schemas of an application."""
        schemas: Schemas = registry[_SCHEMAS]
        return schemas

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The schemas that check what clients send, by name."""
        return _INPUTS

    def is_base(self, name: str) -> bool:
        """Return True if every image has this key."""
        return name in self._base

    def check_value(self, name: str, value: object) -> None:
        """Check that an image's key can have the value; raises InvalidRequest."""
        validator = self._properties.get(name)
        if validator is not None:
            check_document(validator, value, name)
        elif not isinstance(value, str):  # the check of additionalProperties, at a hundredth of the cost
            raise InvalidRequest(
                f"Invalid value for {name[:120]}: the schema asks for type string, not {shown(value)}."
            )

    def check(self, name: str, document: object) -> None:
        """Check a document with the input schema of this name; raises InvalidRequest."""
        check_document(self._inputs[name], document, name.partition(" ")[0])


def _image(settings: Settings) -> dict[str, Any]:
    properties: dict[str, dict[str, Any]] = {
        "id": {"type": "string", "pattern": IMAGE_ID, "description": "An identifier for the image"},
        "name": _text(255, description="Descriptive name for the image"),
        "status": {"type": "string", "readOnly": True, "enum": sorted(Status)},
        "visibility": {"type": "string", "enum": sorted(Visibility)},
        "owner": _text(255, description="Project that owns the image"),
        "protected": {"type": "boolean", "description": "If true, image will not be deletable."},
        "os_hidden": {"type": "boolean", "description": "If true, image will not appear in lists."},
        "container_format": _formats(settings.container_formats, "Format of the container"),
        "disk_format": _formats(settings.disk_formats, "Format of the disk"),
        "min_disk": _gigabytes("Amount of disk space (in GB) required to boot image."),
        "min_ram": _gigabytes("Amount of ram (in MB) required to boot image."),
        "size": {"type": ["null", "integer"], "readOnly": True},
        "virtual_size": {"type": ["null", "integer"], "readOnly": True},
        "checksum": _text(32, readOnly=True, description="MD5 of the image's bytes"),
        "os_hash_algo": _text(64, readOnly=True, description="Algorithm of os_hash_value"),
        "os_hash_value": _text(128, readOnly=True, description="Digest of the image's bytes, in hex"),
        "tags": array({"type": "string", "maxLength": 255}, most=settings.max_tags),
        "created_at": _READ_ONLY,
        "updated_at": _READ_ONLY,
        "self": _READ_ONLY,
        "file": _READ_ONLY,
        "schema": _READ_ONLY,
        "stores": {"type": "string", "readOnly": True, "description": "Stores that hold the bytes"},
        "status_reason": _text(
            65535, readOnly=True, description="Reason why the image has no bytes, or why a copy is damaged"
        ),
        # Without is_base, clients would take a property for a field that every image has.
        **{name: {**schema, "is_base": False} for name, schema in _WELL_KNOWN.items()},
    }
    links = [
        {"rel": "self", "href": "{self}"},
        {"rel": "enclosure", "href": "{file}"},
        {"rel": "describedby", "href": "{schema}"},
    ]
    return {
        "name": "image",
        "properties": properties,
        "additionalProperties": {"type": "string"},
        "links": links,
    }


def _object(name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "properties": properties}


def several(name: str, one: dict[str, Any], *, paged: bool) -> dict[str, Any]:
    """Return the schema of a list of documents, with links to pages if it is `paged`."""
    properties: dict[str, Any] = {name: {"type": "array", "items": one}, "schema": {"type": "string"}}
    links = [{"rel": "describedby", "href": "{schema}"}]
    if paged:
        properties |= {"first": {"type": "string"}, "next": {"type": "string"}}
        links = [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}, *links]
    return {"name": name, "properties": properties, "links": links}


def includeme(config: Configurator) -> None:
    """Create the schemas and put them into the registry."""
    config.registry[_SCHEMAS] = Schemas(Parts.of(config.registry).settings)
