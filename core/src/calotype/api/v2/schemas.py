"""What v2 documents look like: the schemas that clients fetch, and the same ones held against what they send.

glanceclient builds its model of an image from `/v2/schemas/image`, and nova its choice of
formats, so these say exactly what the service takes and gives.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from typing import Any

import fastjsonschema
from pyramid.config import Configurator

from calotype.api.http.request import Parts, Request
from calotype.config.messages import quoted
from calotype.config.settings import Settings
from calotype.model.audit import Agent, Outcome
from calotype.model.changes import InvalidRequest, RequestTooLarge
from calotype.model.images import MemberStatus, Status, Visibility
from calotype.model.jobs import JobStatus

_SCHEMAS = "calotype.v2.schemas"
#: Stores that one import may name.
STORES_MAX = 64


def array(items: Mapping[str, Any], *, most: int, **more: Any) -> dict[str, Any]:
    """The schema of an array of at most so many items."""
    return {"type": "array", "maxItems": most, "items": items, **more}


_ID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
#: The same in capitals too: properties are kept as they are given.
_ANY_ID = "^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"
_TIME = {"type": "string", "readOnly": True}
#: Properties that clients know by name: glance makes options of them, such as `--os-distro`. Other programs
#: read them: nova the kernel and the ramdisk, cinder the key of an encrypted volume.
_WELL_KNOWN: Mapping[str, Mapping[str, Any]] = {
    "kernel_id": {
        "type": ["null", "string"],
        "pattern": _ANY_ID,
        "description": "Id of the image whose kernel a machine made of this image boots",
    },
    "ramdisk_id": {
        "type": ["null", "string"],
        "pattern": _ANY_ID,
        "description": "Id of the image whose ramdisk a machine made of this image boots with",
    },
    "instance_uuid": {"type": "string", "description": "Id of the machine that this image is a snapshot of"},
    "architecture": {
        "type": "string",
        "description": "Processors that the image is made for, such as x86_64",
    },
    "os_distro": {"type": "string", "description": "Distribution in the image, such as debian"},
    "os_version": {"type": "string", "description": "Version of the distribution, such as 12"},
    "description": {"type": "string", "description": "What people should know about the image"},
    "cinder_encryption_key_id": {
        "type": "string",
        "description": "Id, in the key manager, of the key that a volume in the image is encrypted with",
    },
    "cinder_encryption_key_deletion_policy": {
        "type": "string",
        "enum": ["on_image_deletion", "do_not_delete"],
        "description": "Whether the key of an encrypted volume is meant to go when the image is deleted",
    },
}
_ORDER = {
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
}
_NEW_MEMBER = {
    "type": "object",
    "required": ["member"],
    "properties": {"member": {"type": "string", "minLength": 1, "maxLength": 255}},
}
_ANSWER = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"enum": [str(status) for status in MemberStatus]}},
}


_NEW_TASK = {
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
}


#: What a schema is compiled to.
Check = Callable[[Any], Any]


class TaskType(enum.StrEnum):
    """What a task is: of an image that was made for it, or of one that was there."""

    IMPORT = "import"
    API_IMAGE_IMPORT = "api_image_import"


class Schemas:
    """All schemas, made once from the settings: `documents` by name, and the checks of what comes in."""

    def __init__(self, settings: Settings):
        image = _image(settings)
        member = _member()
        task = _task()
        audit_record = _audit_record()
        self.documents: Mapping[str, dict[str, Any]] = {
            "image": image,
            "images": several("images", image, paged=True),
            "member": member,
            "members": several("members", member, paged=False),
            "task": task,
            "tasks": several("tasks", _without_details(task), paged=True),
            "audit-record": audit_record,
            "audit": several("audit", audit_record, paged=True),
        }
        self._base = image["properties"].keys() - _WELL_KNOWN.keys()
        self._properties = {name: compile_schema(schema) for name, schema in image["properties"].items()}
        self._order = compile_schema(_ORDER)
        self._new_member = compile_schema(_NEW_MEMBER)
        self._answer = compile_schema(_ANSWER)
        self._new_task = compile_schema(_NEW_TASK)

    @staticmethod
    def of(request: Request) -> Schemas:
        """Return the schemas of the application that the request came to."""
        schemas: Schemas = request.registry[_SCHEMAS]
        return schemas

    def is_base(self, name: str) -> bool:
        """Whether an image always has that key."""
        return name in self._base

    def check_value(self, name: str, value: object) -> None:
        """Return if an image's key may have the value; raises InvalidRequest."""
        validator = self._properties.get(name)
        if validator is not None:
            check_document(validator, value, name)
        elif not isinstance(
            value, str
        ):  # as the schema's additionalProperties says, at a hundredth of the cost
            told = f"Invalid value for {name[:120]}: the schema asks for type string"
            raise InvalidRequest(f"{told}, not {_shown(value)}.")

    def check_order(self, document: object) -> None:
        """Return if the document asks for an import; raises InvalidRequest."""
        check_document(self._order, document, "import")

    def check_new_member(self, document: object) -> None:
        """Return if the document names a new member; raises InvalidRequest."""
        check_document(self._new_member, document, "member")

    def check_answer(self, document: object) -> None:
        """Return if the document is a member's answer; raises InvalidRequest."""
        check_document(self._answer, document, "member")

    def check_task(self, document: object) -> None:
        """Return if the document asks for a task; raises InvalidRequest."""
        check_document(self._new_task, document, "task")


def compile_schema(schema: Mapping[str, Any]) -> Check:
    """Make a function of a schema, which raises at the first error that it comes to.

    It counts the items of arrays and objects before it looks at them, and takes a microsecond for a value.
    """
    plain = json.loads(json.dumps(schema))  # its values become Python's literals, and those of enums are none
    return fastjsonschema.compile(plain, use_default=False, use_formats=False)


def check_document(check: Check, value: object, what: str) -> None:
    """Return if a value is as the schema says that `check` was made of.

    Raises:
        InvalidRequest: it is not; the message says where, and what the schema asks for.
        RequestTooLarge: an array or an object has too many items.
    """
    try:
        check(value)
    except fastjsonschema.JsonSchemaValueException as error:
        where = ".".join([what, *(part[:80] for part in error.path[1:])])[:120]
        if error.rule in ("maxItems", "maxProperties"):
            most = error.rule_definition
            raise RequestTooLarge(f"Too many values for {where}: at most {most} are allowed.") from None
        if error.rule == "pattern" and error.rule_definition in (_ID, _ANY_ID):
            raise InvalidRequest(
                f"Invalid value for {where}: it must be an image's id, which is a UUID."
            ) from None
        raise InvalidRequest(_told(where, str(error.rule), error.rule_definition, error.value)) from None


def _told(where: str, rule: str, definition: Any, value: Any) -> str:
    problem = f"Invalid value for {where}"
    if rule == "enum":
        choices = ("null" if choice is None else str(choice) for choice in definition)
        return f"{problem}: {_shown(value)}; one of: {', '.join(choices)}."
    if rule == "required" and isinstance(value, dict):
        missing = ", ".join(name for name in definition if name not in value)
        return f"{problem}: {missing} must be given."
    if rule == "type" and isinstance(definition, list):
        definition = " or ".join(definition)
    return f"{problem}: the schema asks for {rule} {definition}"[:300] + f", not {_shown(value)}."


def _shown(value: object) -> str:
    """Return a value for a message, as JSON writes it; arrays and objects can be large."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "an array"
    return json.dumps(value)


def _text(most: int, **more: Any) -> dict[str, Any]:
    return {"type": ["null", "string"], "maxLength": most, **more}


def _formats(known: tuple[str, ...], description: str) -> dict[str, Any]:
    return {"type": ["null", "string"], "enum": [None, *known], "description": description}


def _gigabytes(description: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": 0, "maximum": 2**31 - 1, "description": description}


def _image(settings: Settings) -> dict[str, Any]:
    properties: dict[str, dict[str, Any]] = {
        "id": {"type": "string", "pattern": _ID, "description": "An identifier for the image"},
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
        "created_at": _TIME,
        "updated_at": _TIME,
        "self": {"type": "string", "readOnly": True},
        "file": {"type": "string", "readOnly": True},
        "schema": {"type": "string", "readOnly": True},
        "stores": {"type": "string", "readOnly": True, "description": "Stores that hold the bytes"},
        "status_reason": _text(
            65535, readOnly=True, description="Why the image has no bytes, or a copy of them is bad"
        ),
        # Clients take what is not marked for a field that every image has.
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


def _member() -> dict[str, Any]:
    properties = {
        "member_id": {"type": "string", "description": "Project that the image is shared with"},
        "image_id": {"type": "string", "pattern": _ID},
        "status": {"type": "string", "enum": [str(status) for status in MemberStatus]},
        "created_at": {"type": "string"},
        "updated_at": {"type": "string"},
        "schema": {"type": "string", "readOnly": True},
    }
    return {"name": "member", "properties": properties}


def _task() -> dict[str, Any]:
    properties: dict[str, dict[str, Any]] = {
        "id": {"type": "string", "pattern": _ID},
        "type": {"type": "string", "enum": [str(kind) for kind in TaskType]},
        "status": {"type": "string", "enum": [str(status) for status in JobStatus]},
        "owner": _text(255, description="Project whose image it is"),
        "image_id": {"type": "string", "pattern": _ID},
        "request_id": {"type": "string", "description": "Request that the task began with"},
        "user_id": _text(255, description="User who began it"),
        "input": {"type": ["null", "object"], "description": "What was asked for"},
        "result": {"type": ["null", "object"], "description": "What came of it"},
        "message": {"type": "string", "description": "Why it failed"},
        "expires_at": {"type": ["null", "string"]},
        "created_at": {"type": "string"},
        "updated_at": {"type": "string"},
        "self": {"type": "string", "readOnly": True},
        "schema": {"type": "string", "readOnly": True},
    }
    return {"name": "task", "properties": properties}


def _audit_record() -> dict[str, Any]:
    properties: dict[str, dict[str, Any]] = {
        "id": {"type": "integer"},
        "time": {"type": "string", "description": "UTC, in microseconds"},
        "verb": {"type": "string", "description": "What was done"},
        "outcome": {"type": "string", "enum": [str(outcome) for outcome in Outcome]},
        "image_id": {"type": ["null", "string"]},
        "user_id": _text(255, description="User who did it"),
        "project_id": _text(255, description="Project of the user"),
        "token_id": _text(64, description="Names the token of the user; nobody can log in with it"),
        "address": _text(64, description="Address that the request came from"),
        "request_id": _text(80, description="x-openstack-request-id of the request"),
        "agent": {"type": "string", "enum": [str(agent) for agent in Agent]},
        "detail": {"type": "string"},
    }
    return {"name": "audit-record", "properties": properties}


def _without_details(task: dict[str, Any]) -> dict[str, Any]:
    details = ("input", "result")
    shown = {name: schema for name, schema in task["properties"].items() if name not in details}
    return {**task, "properties": shown}


def several(name: str, one: dict[str, Any], *, paged: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {name: {"type": "array", "items": one}, "schema": {"type": "string"}}
    links = [{"rel": "describedby", "href": "{schema}"}]
    if paged:
        properties |= {"first": {"type": "string"}, "next": {"type": "string"}}
        links = [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}, *links]
    return {"name": name, "properties": properties, "links": links}


def includeme(config: Configurator) -> None:
    """Make the schemas."""
    config.registry[_SCHEMAS] = Schemas(Parts.of(config.registry).settings)
